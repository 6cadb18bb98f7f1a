//! Answers that are the proxy's own, made to look as IMDS's.

use http::header::{ACCEPT_RANGES, ALLOW, CONTENT_TYPE, HeaderValue, LOCATION, SERVER};
use http::{HeaderMap, Response, StatusCode, Uri};
use http_body_util::Full;

use crate::headers::TOKEN_TTL;
use crate::path::CanonicalPath;
use crate::refusal::Refusal;

pub(crate) use credpin_wire::server::Answer;

/// IMDS's answer for an error: the status and its page of XHTML, and no word about why. For a method
/// that there is not it has no page.
pub(crate) fn error(status: StatusCode) -> Answer {
    let mut answer = if status == StatusCode::METHOD_NOT_ALLOWED {
        own("text/plain", String::new())
    } else {
        own("text/html", page(status))
    };
    *answer.status_mut() = status;
    answer
}

/// IMDS's answer to a request for a session: its `token`, and for how many `seconds` it is good.
pub(crate) fn session(token: String, seconds: u32) -> Answer {
    let mut answer = own("text/plain", token);
    answer
        .headers_mut()
        .insert(TOKEN_TTL.clone(), seconds.into());
    answer
}

/// IMDS's answer in place of one that came from where credentials are: its status if IMDS has it
/// (Amazon EC2 User Guide, "Retrieve instance metadata"), and where to go instead; never its body.
/// Nothing for another status.
pub(crate) fn in_place_of(status: StatusCode, headers: &HeaderMap) -> Option<Answer> {
    const IMDS: [u16; 9] = [301, 400, 401, 403, 404, 405, 429, 500, 503];
    if !IMDS.contains(&status.as_u16()) {
        return None;
    }
    let mut answer = error(status);
    if status == StatusCode::MOVED_PERMANENTLY
        && let Some(location) = headers.get(LOCATION)
    {
        answer.headers_mut().insert(LOCATION, location.clone());
    }
    Some(answer)
}

/// IMDS's answer to a request for `target` that is refused; with 405 the methods that it has there.
pub(crate) fn refused(refusal: Refusal, target: &Uri) -> Answer {
    let mut answer = error(refusal.status());
    if refusal == Refusal::Method {
        let path = CanonicalPath::parse(target.path());
        let allow = if path.is_ok_and(|path| path.is_token()) {
            "OPTIONS, PUT"
        } else {
            "OPTIONS, GET, HEAD"
        };
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allow));
    }
    answer
}

/// With what is in every answer of IMDS.
fn own(content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    let headers = answer.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("EC2ws"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn page(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    let title = format!("{} - {reason}", status.as_u16());
    format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n\
         <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
         \t\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n \
         <head>\n  <title>{title}</title>\n </head>\n \
         <body>\n  <h1>{title}</h1>\n </body>\n\
         </html>\n"
    )
}
