//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) on the server's side: the messages, without base64 and
//! without I/O.
//!
//! A message that is not SCRAM ends the exchange. Everything else goes on to the proof, also for an account that does
//! not exist and for a binding that does not fit: the refusal comes at the end and looks like that of a wrong
//! password.

use data_encoding::BASE64;

use crate::credential::{Salt, Verifier};
use crate::net::ChannelBindings;

/// The client's channel binding flag (RFC 5802 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Binding {
    /// `n`: the client does not support channel binding.
    Unknown,
    /// `y`: the client supports it, and believes that the server does not.
    NotOffered,
    /// `p=`: the client uses the binding with this name.
    Named(String),
}

/// The client-first-message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst {
    gs2_header: String,
    binding: Binding,
    bare: String,
    login: String,
    nonce: String,
}

impl ClientFirst {
    /// Parses the message; `None` if it is malformed, or not of this mechanism.
    pub(super) fn parse(message: &[u8], plus: bool) -> Option<ClientFirst> {
        let message = std::str::from_utf8(message).ok()?;
        let (flag, rest) = message.split_once(',')?;
        let (authzid, bare) = rest.split_once(',')?;
        let binding = match flag {
            "n" => Binding::Unknown,
            "y" => Binding::NotOffered,
            _ => Binding::Named(flag.strip_prefix("p=")?.to_owned()),
        };
        // The mechanism's name and the flag must agree (RFC 5801 section 5).
        if plus != matches!(binding, Binding::Named(_)) {
            return None;
        }
        // No mandatory extension (`m=`) is supported, so the name comes first.
        let mut attributes = bare.split(',');
        let login = name(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        if nonce.is_empty() || !nonce.bytes().all(|octet| octet.is_ascii_graphic()) {
            return None;
        }
        // Nobody may act for another user here.
        if !authzid.is_empty() && name(authzid.strip_prefix("a=")?)? != login {
            return None;
        }
        Some(ClientFirst {
            gs2_header: format!("{flag},{authzid},"),
            binding,
            bare: bare.to_owned(),
            login,
            nonce: nonce.to_owned(),
        })
    }

    pub(super) fn login(&self) -> &str {
        &self.login
    }

    /// The server-first-message; `bindable` if the connection has channel bindings.
    pub(super) fn answer(self, salt: Salt, server_nonce: &str, bindable: bool) -> ServerFirst {
        let nonce = format!("{}{server_nonce}", self.nonce);
        let message = format!("r={nonce},s={},i={}", BASE64.encode(&salt.salt), salt.iterations);
        ServerFirst { client: self, nonce, message, bindable }
    }
}

/// Decodes a `saslname`: `=2C` and `=3D` stand for comma and equals sign.
fn name(encoded: &str) -> Option<String> {
    let mut parts = encoded.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return None,
        };
        name.push(sign);
        name.push_str(rest);
    }
    (!name.is_empty() && !name.contains('\0')).then_some(name)
}

/// The exchange after the server-first-message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerFirst {
    client: ClientFirst,
    nonce: String,
    message: String,
    bindable: bool,
}

impl ServerFirst {
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The proof in the client-final-message.
    pub(super) fn proof(self, client_final: &[u8]) -> Option<Proof> {
        let message = std::str::from_utf8(client_final).ok()?;
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let bound_to = BASE64.decode(attributes.next()?.strip_prefix("c=")?.as_bytes()).ok()?;
        if attributes.next()?.strip_prefix("r=")? != self.nonce {
            return None;
        }
        Some(Proof {
            auth_message: format!("{},{},{without_proof}", self.client.bare, self.message),
            proof: BASE64.decode(proof.as_bytes()).ok()?.try_into().ok()?,
            bound_to,
            gs2_header: self.client.gs2_header,
            login: self.client.login,
            misled: self.bindable && self.client.binding == Binding::NotOffered,
            binding: match self.client.binding {
                Binding::Named(name) => Some(name),
                Binding::Unknown | Binding::NotOffered => None,
            },
        })
    }
}

/// A client's claim to know the password, over this connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof {
    login: String,
    auth_message: String,
    proof: [u8; 32],
    /// What the client says of the binding: its GS2 header, and the binding's data.
    bound_to: Vec<u8>,
    gs2_header: String,
    binding: Option<String>,
    /// Whether the client supports channel binding, and somebody removed the server's offer.
    misled: bool,
}

impl Proof {
    /// The name or address of the account.
    pub(crate) fn login(&self) -> &str {
        &self.login
    }

    /// Whether client and server see the same connection.
    pub(crate) fn is_bound(&self, bindings: Option<&ChannelBindings>) -> bool {
        let data = match &self.binding {
            None => Some(&[][..]),
            Some(name) => bindings.and_then(|bindings| bindings.named(name)),
        };
        let same = |data: &[u8]| self.bound_to.strip_prefix(self.gs2_header.as_bytes()) == Some(data);
        !self.misled && data.is_some_and(same)
    }

    /// The server's signature, if the client's proof is right.
    pub(crate) fn verify(&self, verifier: &Verifier) -> Option<[u8; 32]> {
        verifier.verify_proof(self.auth_message.as_bytes(), &self.proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 section 3, with the user `user` and the password `pencil`.
    const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn verifier() -> Verifier {
        let salt = BASE64.decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().try_into().unwrap();
        Verifier::with("pencil", 4096, salt)
    }

    fn answered(first: &str, plus: bool, bindable: bool) -> Option<ServerFirst> {
        let first = ClientFirst::parse(first.as_bytes(), plus)?;
        Some(first.answer(verifier().salt(), SERVER_NONCE, bindable))
    }

    #[test]
    fn the_exchange_of_rfc_7677() {
        let first = ClientFirst::parse(CLIENT_FIRST.as_bytes(), false).unwrap();
        assert_eq!(first.login(), "user");
        let server = first.answer(verifier().salt(), SERVER_NONCE, true);
        assert_eq!(
            server.message(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let proof = server.proof(CLIENT_FINAL.as_bytes()).unwrap();
        assert!(proof.is_bound(None), "a client that knows of no binding is not misled");
        let signature = proof.verify(&verifier()).unwrap();
        assert_eq!(BASE64.encode(&signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert_eq!(proof.verify(&Verifier::with("pencils", 4096, verifier().salt)), None);
    }

    #[test]
    fn what_is_no_first_message() {
        for (message, plus) in [
            ("", false),
            ("n,", false),
            ("n,,", false),
            ("x,,n=user,r=nonce", false),
            ("n,,n=user", false),
            ("n,,n=,r=nonce", false),
            ("n,,n=user,r=", false),
            ("n,,n=user,r=non ce", false),
            ("n,,n=us=er,r=nonce", false),
            ("n,,n=us=2cer,r=nonce", false),
            ("n,,n=us\0er,r=nonce", false),
            ("n,,m=x,n=user,r=nonce", false),
            ("n,,r=nonce,n=user", false),
            ("n,a=other,n=user,r=nonce", false),
            ("n,user,n=user,r=nonce", false),
            ("p=tls-exporter,,n=user,r=nonce", false),
            ("n,,n=user,r=nonce", true),
            ("y,,n=user,r=nonce", true),
        ] {
            assert!(ClientFirst::parse(message.as_bytes(), plus).is_none(), "{message}");
        }
        assert!(ClientFirst::parse(b"n,,n=\xff,r=nonce", false).is_none());
        for (message, login) in [
            ("n,,n=user,r=nonce", "user"),
            ("n,a=user,n=user,r=nonce", "user"),
            ("n,a=a=2Cb=3Dc,n=a=2Cb=3Dc,r=nonce", "a,b=c"),
            ("y,,n=user,r=nonce,x=extension", "user"),
        ] {
            assert_eq!(ClientFirst::parse(message.as_bytes(), false).unwrap().login(), login, "{message}");
        }
    }

    #[test]
    fn what_is_no_final_message() {
        for message in [
            "",
            "c=biws",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            &CLIENT_FINAL.replace("k0,", "k1,"),
            &CLIENT_FINAL.replace("c=", "b="),
            &CLIENT_FINAL.replace("biws", "biw"),
            &CLIENT_FINAL.replace("p=dHzb", "p=!Hzb"),
            &CLIENT_FINAL.replace("p=dHzb", "p="),
            &CLIENT_FINAL.replace(",p=", ",x="),
        ] {
            let server = answered(CLIENT_FIRST, false, true).unwrap();
            assert_eq!(server.proof(message.as_bytes()), None, "{message}");
        }
    }

    /// Whether a final message with any proof is bound to what the client sees.
    fn bound(first: &str, plus: bool, sees: &[u8], bindings: Option<&ChannelBindings>) -> bool {
        let server = answered(first, plus, bindings.is_some()).unwrap();
        let proof = CLIENT_FINAL.rsplit_once(",p=").unwrap().1;
        let last = format!("c={},r={},p={proof}", BASE64.encode(sees), server.nonce);
        server.proof(last.as_bytes()).unwrap().is_bound(bindings)
    }

    #[test]
    fn a_binding_fits_this_connection_or_the_login_is_refused() {
        let nonce = "r=rOprNGfwEbeRWgbNEkqO";
        let bindings = ChannelBindings { exporter: [7; 32], end_point: Some([8; 32].as_slice().into()) };
        let no_end_point = ChannelBindings { end_point: None, ..bindings.clone() };
        let exporter = [b"p=tls-exporter,,".as_slice(), &[7; 32]].concat();
        let end_point = [b"p=tls-server-end-point,,".as_slice(), &[8; 32]].concat();
        let other = [b"p=tls-exporter,,".as_slice(), &[6; 32]].concat();
        let unique = [b"p=tls-unique,,".as_slice(), &[7; 32]].concat();
        for (flag, sees, on, expected) in [
            ("p=tls-exporter", &exporter[..], Some(&bindings), true),
            ("p=tls-exporter", &other, Some(&bindings), false),
            ("p=tls-exporter", b"p=tls-exporter,,", Some(&bindings), false),
            ("p=tls-exporter", &end_point, Some(&bindings), false),
            ("p=tls-server-end-point", &end_point, Some(&bindings), true),
            ("p=tls-server-end-point", &end_point, Some(&no_end_point), false),
            ("p=tls-unique", &unique, Some(&bindings), false),
            ("p=tls-exporter", &exporter, None, false),
            ("n", b"n,,", Some(&bindings), true),
            ("n", b"n,,", None, true),
            ("n", b"y,,", None, false),
            ("n", &exporter, Some(&bindings), false),
            ("y", b"y,,", None, true),
            ("y", b"y,,", Some(&bindings), false),
        ] {
            let first = format!("{flag},,n=user,{nonce}");
            assert_eq!(bound(&first, flag.starts_with('p'), sees, on), expected, "{flag} {sees:?} {on:?}");
        }
    }
}
