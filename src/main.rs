//! cardproof: one gRPC service in front of many bank-card vendors.

fn main() {}
