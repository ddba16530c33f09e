//! Generates the protobuf and gRPC code without `protoc`: protox compiles the `.proto` files, prost and tonic (or,
//! under `--cfg madsim`, its simulation) generate from the descriptors.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const PROTOS: [&str; 6] = [
    "catena/v1/common.proto",
    "catena/v1/error.proto",
    "catena/v1/kv.proto",
    "catena/v1/replication.proto",
    "catena/v1/coordination.proto",
    "catena/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = PathBuf::from(std::env::var("OUT_DIR")?).join("catena.v1.bin");
    std::fs::write(&descriptors, protox::compile(PROTOS, ["proto"])?.encode_to_vec())?;
    if std::env::var_os("CARGO_CFG_MADSIM").is_some() {
        tonic_build::configure()
            .file_descriptor_set_path(&descriptors)
            .skip_protoc_run()
            .emit_rerun_if_changed(false)
            .bytes(["."])
            .btree_map(["."])
            .compile_protos(&PROTOS, &["proto"])?;
    } else {
        // The codec is ours, so that malformed protobuf is refused like every other malformed request.
        tonic_prost_build::configure()
            .file_descriptor_set_path(&descriptors)
            .skip_protoc_run()
            .emit_rerun_if_changed(false)
            .codec_path("crate::codec::Codec")
            .bytes(".")
            .btree_map(".")
            .compile_protos(&PROTOS, &["proto"])?;
    }
    Ok(())
}
