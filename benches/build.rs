//! Compiles `echo.proto` without `protoc`.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/echo.proto"], ["proto"])?;
    let path = PathBuf::from(std::env::var("OUT_DIR")?).join("echo.bin");
    std::fs::write(&path, descriptors.encode_to_vec())?;
    tonic_build::configure()
        .file_descriptor_set_path(&path)
        .skip_protoc_run()
        .bytes(["."])
        .compile_protos(&["proto/echo.proto"], &["proto"])?;
    Ok(())
}
