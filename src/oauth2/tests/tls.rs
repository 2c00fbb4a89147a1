//! Private token servers, with certificates that no public authority has signed.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;
use crate::net::tls;

/// The PEM files of a test, which are removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("pillarbox-token-tls-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn ca(name: &str) -> (CertificateParams, KeyPair, String) {
    let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = parameters.self_signed(&key).unwrap().pem();
    (parameters, key, pem)
}

/// Catches: a refresh token that is sent to any server that answers, a source's `ca` that is not used for the token
/// server, and a certificate for another name that is accepted.
#[test]
fn a_token_server_has_to_be_trusted() {
    let folder = Folder::new();
    let (parameters, key, pem) = ca("ca.example");
    let (trusted, other) = (folder.file("ca.pem", &pem), folder.file("other.pem", &ca("other.example").2));
    let issuer = Issuer::from_params(&parameters, &key);
    let certificate = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let pem = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap().pem();
        (folder.file(&format!("{name}.pem"), &pem), folder.file(&format!("{name}.key"), &key.serialize_pem()))
    };
    let (own, stranger) = (certificate("127.0.0.1"), certificate("127.0.0.2"));
    let with = |(pem, key): &(String, String)| Some(tls::from_files(pem, key).unwrap());
    for (server, ca, told) in [
        (&own, &trusted, Ok("a1")),
        // Exactly this certificate, whoever has signed it.
        (&own, &own.0, Ok("a1")),
        (&stranger, &stranger.0, Ok("a1")),
        (&own, &other, Err("the server's certificate")),
        (&own, &String::new(), Err("the server's certificate")),
        (&stranger, &trusted, Err("127.0.0.2")),
    ] {
        play(async |stage| {
            *stage.server.tls.borrow_mut() = with(server);
            stage.server.says(&[(200, r#"{"access_token":"a1"}"#)]);
            let mut client = stage.client(1);
            client.token_url =
                client.token_url.as_str().replace("http:", "https:").as_str().try_into().unwrap();
            match (stage.tokens.access(&client, ca).await, told) {
                (Ok(token), Ok(told)) => assert_eq!(token.reveal(), told),
                (Err(error), Err(told)) => {
                    assert!(error.to_string().contains(told), "{error}");
                    assert_eq!(stage.server.times(), 0, "nothing was said to it");
                }
                (found, _) => panic!("{:?}", found.map(drop)),
            }
        });
    }
}
