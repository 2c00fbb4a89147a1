//! The status page: what `show status` says, for a browser.

use crate::operator::status::Status;

/// Text for XML and HTML, between tags or in a quoted attribute.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// The page, of a status that is [impersonal](Status::impersonal).
pub fn html(status: &Status) -> String {
    let name = escaped(&status.hostname);
    let mut sources = String::new();
    for (n, source) in status.sources.iter().enumerate() {
        let state = if source.waiting_for_time {
            "waiting for the time".into()
        } else if source.failures > 0 {
            format!("{} failures in a row", source.failures)
        } else {
            "fine".into()
        };
        sources += &format!("<tr><td>{}<td>{}<td>{state}</tr>\n", n + 1, source.collected);
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{name}</title>\n<style>body{{font:1em/1.5 sans-serif;max-width:45em;margin:2em auto;padding:0 1em}}\
         pre{{overflow:auto}}td{{padding-right:2em}}</style>\n<h1>{name}</h1>\n<pre>{}</pre>\n\
         <h2>Sources</h2>\n<table>\n<tr><th>source<th>collected<th>state</tr>\n{sources}</table>\n\
         <p><a href=\"/ca.pem\">The certificate of this appliance</a>, for devices that do not trust it yet</p>\n",
        escaped(&status.to_string())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_chose_cannot_become_markup() {
        let status = Status { hostname: "<script>alert('\"&')</script>".to_owned(), ..Status::default() };
        let page = html(&status);
        assert!(
            page.contains("&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;")
                && !page.contains("<script>")
        );
    }
}
