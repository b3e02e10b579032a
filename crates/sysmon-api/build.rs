//! Compiles `proto/` with protox, so that no protoc has to be installed.

use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let names = [
        "types",
        "history",
        "alerts",
        "config",
        "ingest",
        "control",
        "metrics",
        "mirror",
        "recording",
    ];
    let files: Vec<PathBuf> = names
        .iter()
        .map(|name| root.join(format!("monitoring/v1/{name}.proto")))
        .collect();
    let descriptors = protox::compile(&files, [&root])?;

    // The reflection service answers from the encoded descriptors.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        protox::prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .codec_path("crate::codec::LeanCodec")
        .compile_fds(descriptors)?;
    Ok(())
}
