//! Tencent Cloud FaceID.

pub mod codes;
pub mod encryption;
pub mod errors;
pub mod sign;
