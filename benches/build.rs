//! Compiles the protocols without `protoc`.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const PROTOCOLS: [&str; 2] = ["proto/echo.proto", "proto/etcd.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOCOLS, ["proto"])?;
    let path = PathBuf::from(std::env::var("OUT_DIR")?).join("protocols.bin");
    std::fs::write(&path, descriptors.encode_to_vec())?;
    tonic_build::configure()
        .file_descriptor_set_path(&path)
        .skip_protoc_run()
        .bytes(["."])
        .compile_protos(&PROTOCOLS, &["proto"])?;
    Ok(())
}
