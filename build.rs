//! Compiles the protos with a compiler written in Rust, so that nobody has to install protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const PROTOS: &[&str] = &[
    "proto/bankcard/v1/bank_card_service.proto",
    "proto/bankcard/provider/v1/provider_service.proto",
];

/// Messages that carry personal data: their `Debug` is written by hand, masked.
const SENSITIVE: &[&str] = &[
    ".bankcard.v1.VerifyBankCardRequest",
    ".bankcard.v1.QueryCardInfoRequest",
    ".bankcard.v1.VerifyBankCardResponse",
    ".bankcard.v1.QueryCardInfoResponse",
    ".bankcard.provider.v1.VerifyBankCardRequest",
    ".bankcard.provider.v1.VerifyBankCardResponse",
    ".bankcard.provider.v1.QueryCardInfoRequest",
    ".bankcard.provider.v1.QueryCardInfoResponse",
    ".bankcard.provider.v1.Verification",
    ".bankcard.provider.v1.CardInformation",
    ".bankcard.provider.v1.VendorReference",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    for proto in PROTOS {
        compiler.open_file(proto.trim_start_matches("proto/"))?;
    }
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    // the encoded form keeps everything, custom options too; reflection serves it
    fs::write(
        out_dir.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    let descriptors = compiler.file_descriptor_set();
    debug_assert!(descriptors.encoded_len() > 0);
    tonic_prost_build::configure()
        .skip_debug(SENSITIVE.iter().copied())
        .compile_fds(descriptors)?;
    Ok(())
}
