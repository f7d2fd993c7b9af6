//! Between messages and the domain.

mod reply;
mod request;

pub use self::{
    reply::{card_info_reply, verification_reply},
    request::Reading,
};
