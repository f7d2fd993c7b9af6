//! Everything on the gRPC port that is not the hot service.

use tonic::service::Routes;
use tonic_reflection::server::{Builder, Error};

use super::health::HealthService;
use crate::{
    health::HealthSwitch,
    proto::{DESCRIPTORS, bankcard::v1::bank_card_service_server},
};

/// Health, and reflection (v1 and v1alpha, for clients of either age) if wanted.
///
/// # Errors
/// The embedded descriptors cannot be read, which a test rules out.
pub fn rest(health: HealthSwitch, reflection: bool) -> Result<Routes, Error> {
    let routes = Routes::new(HealthService::server(health));
    if !reflection {
        return Ok(routes);
    }
    Ok(routes
        .add_service(reflected().build_v1()?)
        .add_service(reflected().build_v1alpha()?))
}

/// The services of this port alone: the embedded descriptors also know the contract of providers,
/// which is not served here.
fn reflected() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // the details of errors, so that a client that knows nothing can show them
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(bank_card_service_server::SERVICE_NAME)
        .with_service_name("grpc.health.v1.Health")
        .with_service_name("grpc.reflection.v1.ServerReflection")
        .with_service_name("grpc.reflection.v1alpha.ServerReflection")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_descriptors_can_be_reflected() {
        assert!(rest(HealthSwitch::new(), true).is_ok());
        assert!(rest(HealthSwitch::new(), false).is_ok());
    }
}
