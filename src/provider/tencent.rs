//! Tencent Cloud FaceID.

pub mod codes;
