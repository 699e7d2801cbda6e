//! The HTTP client of every AWS call, those for the process's own credentials included. It names the endpoint whose
//! certificate is not trusted: the SDK's errors do not say which host was asked.

use std::{error::Error, fmt, io};

use aws_smithy_http_client::{
    Builder, ConnectorBuilder,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        result::ConnectorError,
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use jiff::Timestamp;
use rustls::{CertificateError, pki_types::UnixTime};

/// One HTTP client for everything. Each SDK client would otherwise make its own, and as clients are made per reconcile,
/// every reconcile would open (and shake hands on) new connections.
pub(super) fn http_client() -> SharedHttpClient {
    // As the SDK makes its own: rustls on aws-lc, and the proxy of HTTPS_PROXY and NO_PROXY. Its certificate authorities
    // are those of SSL_CERT_FILE and SSL_CERT_DIR, or the system's where neither is set; they are read once.
    let inner = Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    });
    SharedHttpClient::new(Client(inner))
}

/// What has to change before a certificate is trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CertificateFault {
    /// The authorities that the process trusts.
    Authority,
    /// The certificate, or a clock.
    Time,
    /// The name that is asked for, or the certificate.
    Name,
    /// The certificate itself.
    Certificate,
}

/// An endpoint whose certificate is not trusted. Nothing was sent to it.
#[derive(Debug)]
pub(super) struct Untrusted {
    /// The host, as it is asked for.
    pub(super) host: String,
    certificate: CertificateError,
    /// What the connector returned, from which the SDK tells that no connection was made.
    source: ConnectorError,
}

impl Untrusted {
    /// What has to change.
    pub(super) fn fault(&self) -> CertificateFault {
        fault(&self.certificate)
    }

    /// What is wrong with the certificate.
    pub(super) fn said(&self) -> String {
        said(&self.certificate)
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate of {} is not trusted: {}", self.host, self.said())
    }
}

impl Error for Untrusted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

fn fault(error: &CertificateError) -> CertificateFault {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => CertificateFault::Time,
        // No authority that is mounted mends these.
        CertificateError::BadEncoding | CertificateError::Revoked => CertificateFault::Certificate,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => CertificateFault::Name,
        _ => CertificateFault::Authority,
    }
}

/// In the same words at every look: rustls counts the seconds since a certificate expired.
fn said(error: &CertificateError) -> String {
    let at = |time: &UnixTime| {
        let second = i64::try_from(time.as_secs()).ok().and_then(|second| Timestamp::from_second(second).ok());
        second.map_or_else(|| "a time beyond counting".to_owned(), |at| at.to_string())
    };
    match error {
        CertificateError::ExpiredContext { not_after, .. } => format!("it expired at {}", at(not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => format!("it is not valid before {}", at(not_before)),
        error => error.to_string(),
    }
}

/// What rustls says of a certificate.
fn certificate_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CertificateError> {
    std::iter::successors(Some(error), |&error| inside(error)).find_map(|error| match error.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(certificate)) => Some(certificate),
        _ => None,
    })
}

/// The next error of a chain. I/O errors hand out the source of what they wrap, and not that itself.
fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[derive(Debug)]
struct Client(SharedHttpClient);

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector(self.0.http_connector(settings, components)))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        HttpClient::validate_base_client_config(&self.0, components, config)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        HttpClient::validate_final_config(&self.0, components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

#[derive(Debug)]
struct Connector(SharedHttpConnector);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = host_of(request.uri());
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move { answer.await.map_err(|error| named(host, error)) })
    }
}

/// Host and, where it is said, port; never the credentials that a URL may hold before them.
fn host_of(uri: &str) -> String {
    let authority = uri.parse::<http::Uri>().ok().and_then(|uri| uri.into_parts().authority);
    let host = authority.map(|authority| match authority.port() {
        Some(port) => format!("{}:{port}", authority.host()),
        None => authority.host().to_owned(),
    });
    host.unwrap_or_else(|| "an endpoint".to_owned())
}

/// It is not for the SDK to try it again: the next answer would be the same.
fn named(host: String, error: ConnectorError) -> ConnectorError {
    match certificate_error(&error).cloned() {
        Some(certificate) => ConnectorError::other(Box::new(Untrusted { host, certificate, source: error }), None),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_endpoint_is_told_without_the_credentials_of_its_url() {
        for (uri, host) in [
            ("https://sts.eu-west-1.amazonaws.com/", "sts.eu-west-1.amazonaws.com"),
            ("https://user:hunter22@iam.example:8443/?Action=GetRole", "iam.example:8443"),
            ("https://token@[::1]/", "[::1]"),
            ("/path/alone", "an endpoint"),
        ] {
            assert_eq!(host_of(uri), host);
        }
    }

    #[test]
    fn each_fault_of_a_certificate_is_told_in_words_that_stay() {
        let at = |second| UnixTime::since_unix_epoch(Duration::from_secs(second));
        let expired = |time| CertificateError::ExpiredContext { time: at(time), not_after: at(86_400) };
        assert_eq!(said(&expired(90_000)), said(&expired(99_999)), "a status would be written at each look");
        let name = CertificateError::NotValidForNameContext {
            expected: "sts.eu-west-1.amazonaws.com".try_into().unwrap(),
            presented: vec!["DnsName(\"vpce.example\")".to_owned()],
        };
        for (error, expected, words) in [
            (expired(90_000), CertificateFault::Time, "it expired at 1970-01-02T00:00:00Z"),
            (
                CertificateError::NotValidYetContext { time: at(0), not_before: at(60) },
                CertificateFault::Time,
                "it is not valid before 1970-01-01T00:01:00Z",
            ),
            (name, CertificateFault::Name, "vpce.example"),
            (CertificateError::Revoked, CertificateFault::Certificate, "Revoked"),
            (CertificateError::BadEncoding, CertificateFault::Certificate, "BadEncoding"),
            (CertificateError::UnknownIssuer, CertificateFault::Authority, "UnknownIssuer"),
            (CertificateError::BadSignature, CertificateFault::Authority, "BadSignature"),
        ] {
            assert_eq!(fault(&error), expected);
            assert!(said(&error).contains(words), "{}", said(&error));
        }
    }

    #[test]
    fn a_certificate_is_found_however_deep_it_is_wrapped() {
        let wrapped = |error: rustls::Error| {
            let inner = io::Error::new(io::ErrorKind::InvalidData, error);
            ConnectorError::io(Box::new(io::Error::other(inner)))
        };
        let untrusted = named("sts.example:443".to_owned(), wrapped(CertificateError::UnknownIssuer.into()));
        let found = untrusted.source().and_then(|source| source.downcast_ref::<Untrusted>()).unwrap();
        assert_eq!((found.host.as_str(), found.fault()), ("sts.example:443", CertificateFault::Authority));
        assert!(!untrusted.is_io() && !untrusted.is_timeout(), "the SDK would try it again");
        let other = named("sts.example".to_owned(), wrapped(rustls::Error::HandshakeNotComplete));
        assert!(other.is_io(), "{other:?}");
    }
}
