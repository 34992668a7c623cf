//! TLS in front of the test kit's servers, which speak none, and what a client has to trust for it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rcgen::{CertifiedKey, KeyPair};
use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A certificate for 127.0.0.1 that nobody knows who was not told.
pub(crate) struct Certificate(CertifiedKey<KeyPair>);

/// A socket that speaks TLS and hands what it hears to a server that does not. Dropped, it is gone.
pub(crate) struct Front {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        Self(rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap())
    }

    /// A connector of clients that trust it, and nobody else; plain connections are not refused.
    pub(crate) fn connector(&self) -> HttpsConnector<HttpConnector> {
        https(self.trusted().with_no_client_auth())
    }

    /// The same, of a client that shows a certificate of its own.
    pub(crate) fn connector_showing(&self, client: &CertifiedKey<KeyPair>) -> HttpsConnector<HttpConnector> {
        let shown = vec![client.cert.der().clone()];
        https(self.trusted().with_client_auth_cert(shown, key(client)).unwrap())
    }

    fn trusted(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.cert.der().clone()
    }

    /// For a server that others wrote: the certificate and its key, in DER.
    pub(crate) fn exported(&self) -> (Vec<u8>, Vec<u8>) {
        (self.der().to_vec(), self.0.signing_key.serialize_der())
    }

    /// In front of the server at `plain`, which knows HTTP/2 as well as HTTP/1.1.
    pub(crate) async fn front(&self, plain: &Uri) -> Front {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der()], key(&self.0))
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = plain.authority().unwrap().to_string();
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), server));
        Front { address, _serving: serving }
    }
}

impl Front {
    /// The address of `path`, which begins with a slash or is none.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }
}

fn https(tls: ClientConfig) -> HttpsConnector<HttpConnector> {
    HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().enable_http2().build()
}

fn key(certified: &CertifiedKey<KeyPair>) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap()
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, server: String) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, server) = (acceptor.clone(), server.clone());
        connections.spawn(async move {
            // A client that does not trust it hangs up, and one that has its answer does as well.
            let Ok(mut outside) = acceptor.accept(stream).await else { return };
            let mut inside = TcpStream::connect(server).await.unwrap();
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}
