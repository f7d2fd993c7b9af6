//! Where a server is: `http://host:port` or `https://host:port`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use url::{Host, Url};

/// The address of a server. It holds scheme, host and port, and nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
}

/// Why a text is no address. It does not repeat the text: somebody may have put a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL with a host.
    #[error("is not a URL like http://host:port")]
    Malformed,
    /// Another scheme.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// More than scheme, host and port.
    #[error("must hold a scheme, a host and a port only")]
    TooMuch,
}

impl Address {
    /// Where a program on the same machine reaches a plaintext listener.
    ///
    /// # Errors
    /// None for a listener that has a port.
    pub fn on_this_machine(listener: SocketAddr) -> Result<Self, AddressError> {
        let ip = match listener.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(ip, listener.port())).parse()
    }

    /// Whether the connection is protected.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether what is sent never leaves this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
            Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
            None => false,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Err(AddressError::Scheme);
        }
        let url = Url::parse(text).map_err(|_| AddressError::Malformed)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if !bare {
            return Err(AddressError::TooMuch);
        }
        Ok(Self { url })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_scheme_host_and_port_only() {
        let address: Address = "http://127.0.0.1:50051".parse().unwrap();
        assert_eq!(address.to_string(), "http://127.0.0.1:50051");
        assert!(address.is_loopback() && !address.is_https());
        let address: Address = "https://cards.example:8443/".parse().unwrap();
        assert_eq!(address.to_string(), "https://cards.example:8443");
        assert!(!address.is_loopback() && address.is_https());
        assert!("http://[::1]:1".parse::<Address>().unwrap().is_loopback());
    }

    #[test]
    fn a_listener_on_every_interface_is_reached_by_loopback() {
        for (listener, address) in [
            ("0.0.0.0:9464", "http://127.0.0.1:9464"),
            ("[::]:9464", "http://[::1]:9464"),
            ("127.0.0.2:1", "http://127.0.0.2:1"),
            ("10.1.2.3:1", "http://10.1.2.3:1"),
        ] {
            let found = Address::on_this_machine(listener.parse().unwrap()).unwrap();
            assert_eq!(found.to_string(), address);
        }
    }

    #[test]
    fn refuses_anything_else_without_repeating_it() {
        for (text, error) in [
            ("127.0.0.1:50051", AddressError::Scheme),
            ("ftp://host", AddressError::Scheme),
            ("http://", AddressError::Malformed),
            ("http://user:hunter2@host", AddressError::TooMuch),
            ("http://host/path", AddressError::TooMuch),
            ("http://host/?q=1", AddressError::TooMuch),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
