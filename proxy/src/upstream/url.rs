//! Where the metadata service is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

/// Where the metadata service is: `http://ADDRESS[:PORT]`. An address, no name: what a name leads to
/// can change, and whoever changes it would be asked for this host's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// As it was written, and so as `Host` says it.
    authority: Authority,
    address: SocketAddr,
}

/// A text that is no [`UpstreamUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamUrlError {
    /// No URL of this kind.
    #[error("not the address of a metadata service: write http://ADDRESS or http://ADDRESS:PORT")]
    Url,
    /// It has a name.
    #[error(
        "a name, and what it leads to can change: write the address, as http://169.254.169.254"
    )]
    Name,
}

/// The port of http.
const HTTP: u16 = 80;

impl UpstreamUrl {
    /// Address and port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As `Host` says it.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl Default for UpstreamUrl {
    fn default() -> Self {
        Self {
            authority: Authority::from_static("169.254.169.254"),
            address: (Ipv4Addr::new(169, 254, 169, 254), HTTP).into(),
        }
    }
}

impl FromStr for UpstreamUrl {
    type Err = UpstreamUrlError;

    fn from_str(text: &str) -> Result<Self, UpstreamUrlError> {
        let uri: Uri = text.parse().map_err(|_| UpstreamUrlError::Url)?;
        let bare =
            uri.scheme() == Some(&Scheme::HTTP) && uri.path() == "/" && uri.query().is_none();
        let authority = uri
            .authority()
            .filter(|authority| bare && !authority.as_str().contains('@'))
            .ok_or(UpstreamUrlError::Url)?;
        let address: IpAddr = authority
            .host()
            .trim_matches(['[', ']'])
            .parse()
            .map_err(|_| UpstreamUrlError::Name)?;
        let port = match authority.port_u16() {
            None if authority.as_str() != authority.host() => return Err(UpstreamUrlError::Url),
            port => port.unwrap_or(HTTP),
        };
        Ok(Self {
            authority: authority.clone(),
            address: (address, port).into(),
        })
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_an_address_over_http() {
        for text in [
            "http://169.254.169.254",
            "http://127.0.0.1:1338/",
            "http://[fd00:ec2::254]",
            "http://[fd00:ec2::254]:80",
        ] {
            assert!(text.parse::<UpstreamUrl>().is_ok(), "{text}");
        }
        for text in [
            "",
            "169.254.169.254",
            "https://a",
            "http://a/b",
            "http://a?b",
            "http://u@a",
            "http://",
            "http://127.0.0.1:99999",
            "http://127.0.0.1:",
        ] {
            assert_eq!(
                text.parse::<UpstreamUrl>(),
                Err(UpstreamUrlError::Url),
                "{text}"
            );
        }
        for text in [
            "http://imds:80",
            "http://localhost:1338",
            "http://127.1",
            "http://2130706433",
        ] {
            assert_eq!(
                text.parse::<UpstreamUrl>(),
                Err(UpstreamUrlError::Name),
                "{text}"
            );
        }
    }

    #[test]
    fn its_address_is_the_one_that_is_written() {
        for (text, address) in [
            ("http://169.254.169.254", "169.254.169.254:80"),
            ("http://[::1]:1338", "[::1]:1338"),
        ] {
            let url: UpstreamUrl = text.parse().unwrap();
            assert_eq!(url.address(), address.parse().unwrap());
            assert_eq!(url.to_string(), text);
        }
        assert_eq!(
            UpstreamUrl::default(),
            "http://169.254.169.254".parse().unwrap()
        );
    }
}
