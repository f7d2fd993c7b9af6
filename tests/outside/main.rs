//! Tests that drive the service with programs of other makers: grpcurl and the like.
//!
//! They stand behind the feature `outside-tests`, so that plain `cargo test` needs Rust alone, and
//! are run by `make test` (suite `outside`), which installs the programs first. By hand:
//!
//! ```text
//! cargo test --features outside-tests --test outside
//! ```
//!
//! A test whose program is missing fails and says how to install it.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on ends by saying why"
)]

mod tools;
