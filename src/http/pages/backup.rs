//! A backup as a download. It holds all passwords and mail: somebody who finds the browser open must not get it.

use askama::Template;

use super::{Frame, shown, to_be_mended};
use crate::config::OPERATOR;
use crate::http::Response;
use crate::http::download::Download;
use crate::http::visit::Visit;
use crate::message::date::stamp;

#[derive(Template)]
#[template(path = "backup.html")]
struct Page {
    frame: Frame,
    others: Vec<String>,
}

/// Explains the backup, or begins it.
pub async fn page(visit: &Visit<'_>) -> Response {
    let with = |others: Vec<String>| Page { frame: Frame::new(visit, visit.words.backup), others };
    if !visit.is_post() {
        return shown(&with(Vec::new()));
    }
    match visit.judge(OPERATOR, visit.form.get("password").unwrap_or_default()).await {
        Ok(_) => {
            let host = visit.config.server.hostname.as_str();
            let day = stamp(crate::clock::unix_now());
            let name = format!(
                "Content-Disposition: attachment; filename=\"{host}-{day}.pillarbox-backup.tar\"\r\n"
            );
            Response::download("application/x-tar", Download::Backup).with(name)
        }
        Err(wrong) => to_be_mended(&with(vec![wrong.to_owned()])),
    }
}
