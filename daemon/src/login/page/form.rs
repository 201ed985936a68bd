//! The forms: what to do first, the fields, what happens with what is typed.

use super::super::fields::{Amiss, Fault, Field, Kind, TOKEN_FIELD, fields};
use super::super::{Asked, LoginForm};
use super::text::{Escaped, Link, Marked, push};
use super::words::{self, Words};
use super::{CANCEL, frame};

/// Hosts shown at once; more of them fold, or the button leaves a phone's screen.
const HOSTS_SHOWN: usize = 4;

/// Addresses shown; definitions have one or two.
const KEY_URLS_SHOWN: usize = 4;

/// Keeps browsers from changing, checking or remembering what is typed; the `data-` attributes keep
/// password managers from offering to save it a second time.
const AS_TYPED: &str = "autocomplete=\"off\" autocapitalize=\"off\" autocorrect=\"off\" \
                        spellcheck=\"false\" data-1p-ignore data-bwignore data-lpignore=\"true\"";

/// The form; `amiss` says what was wrong with what came in.
pub(in super::super) fn form(form: &LoginForm, token: &str, amiss: &Amiss) -> String {
    let words = Words::of(form);
    let mut body = format!("<h1>{}</h1>", words.title);
    if words.kind != "Connection" || form.connection.as_str() != "default" {
        push(
            &mut body,
            format_args!(
                "<p class=\"which\">{} <code class=\"chip\">{}</code></p>",
                words.kind,
                Escaped(form.connection.as_str())
            ),
        );
    }
    push(
        &mut body,
        format_args!("<p class=\"lead\">{}</p>", words.lead),
    );
    first(&mut body, form, &words);
    if let Some(problem) = &amiss.problem {
        push(
            &mut body,
            format_args!(
                "<p class=\"problem\" role=\"alert\">{}</p>",
                Marked(problem)
            ),
        );
    }
    push(
        &mut body,
        format_args!(
            "<form method=\"post\" autocomplete=\"off\">\
             <input type=\"hidden\" name=\"{TOKEN_FIELD}\" value=\"{}\">",
            Escaped(token)
        ),
    );
    let fields = fields(&form.asked);
    let focused = focused(&fields, amiss);
    for (at, field) in fields.iter().enumerate() {
        let shown = Shown {
            field,
            fault: amiss
                .faults
                .iter()
                .find(|(of, _)| *of == at)
                .map(|(_, fault)| fault),
            id: amiss.id.as_deref(),
            // below the last one, which is the only one in most forms
            hint: form.hint.as_deref().filter(|_| at + 1 == fields.len()),
            is_focused: focused == Some(at),
            is_marked: fields.len() > 1,
        };
        input(&mut body, form, &shown);
    }
    push(
        &mut body,
        format_args!("<button type=\"submit\">{}</button></form>", words.button),
    );
    facts(&mut body, form, &words);
    frame("", &words.title, &body, CANCEL)
}

/// Where the cursor is: in what is to be looked at again, else in the first field to be filled in.
fn focused(fields: &[Field], amiss: &Amiss) -> Option<usize> {
    let faulty = amiss.faults.first().map(|(at, _)| *at);
    faulty.or_else(|| {
        fields.iter().position(|field| match &field.kind {
            Kind::ClientId(given) => given.is_none() && amiss.id.is_none(),
            _ => true,
        })
    })
}

/// A field, and what is shown with it.
struct Shown<'a> {
    field: &'a Field,
    fault: Option<&'a Fault>,
    id: Option<&'a str>,
    hint: Option<&'a str>,
    is_focused: bool,
    /// Whether it says if it is needed.
    is_marked: bool,
}

fn input(body: &mut String, form: &LoginForm, shown: &Shown<'_>) {
    let Field {
        name,
        kind,
        is_needed,
    } = shown.field;
    let mark = match (shown.is_marked, is_needed) {
        (false, _) => "",
        (true, true) => " <span class=\"need\">needed</span>",
        (true, false) => " <span class=\"need\">optional</span>",
    };
    push(
        body,
        format_args!(
            "<label for=\"{name}\">{}{mark}</label>",
            words::label(form, kind)
        ),
    );
    let describing: Vec<String> = [
        shown.fault.map(|_| format!("{name}-fault")),
        shown.hint.map(|_| "hint".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut more = String::new();
    if !describing.is_empty() {
        push(
            &mut more,
            format_args!(" aria-describedby=\"{}\"", describing.join(" ")),
        );
    }
    for (is_so, attribute) in [
        (*is_needed, " required"),
        (shown.is_focused, " autofocus"),
        (shown.fault.is_some(), " aria-invalid=\"true\""),
    ] {
        if is_so {
            more.push_str(attribute);
        }
    }
    let common = format_args!("class=\"field\" id=\"{name}\" name=\"{name}\" {AS_TYPED}{more}");
    match kind {
        Kind::Key | Kind::ClientSecret | Kind::Cookie(_) => {
            push(body, format_args!("<input type=\"password\" {common}>"));
        }
        // a file cannot be sent in an ordinary form; the style sheet masks what is pasted
        Kind::KeyFile => push(
            body,
            format_args!("<textarea rows=\"6\" {common}></textarea>"),
        ),
        Kind::ClientId(given) => {
            let value = given.as_deref().or(shown.id).unwrap_or_default();
            let fixed = if given.is_some() { " readonly" } else { "" };
            push(
                body,
                format_args!(
                    "<input type=\"text\" value=\"{}\"{fixed} {common}>",
                    Escaped(value)
                ),
            );
        }
    }
    if let Some(fault) = shown.fault {
        push(
            body,
            format_args!(
                "<p class=\"fault\" id=\"{name}-fault\" role=\"alert\">{}</p>",
                Marked(&fault.to_string())
            ),
        );
    }
    if let Some(hint) = shown.hint {
        push(
            body,
            format_args!("<p class=\"hint\" id=\"hint\">{}</p>", Marked(hint)),
        );
    }
}

/// What a person has to do before the form can be filled in.
fn first(body: &mut String, form: &LoginForm, words: &Words) {
    match &form.asked {
        Asked::ApiKey | Asked::SigningSecret { .. } | Asked::ServiceAccount => {}
        Asked::Client { redirect_uri, .. } => {
            let mut pieces = String::new();
            links(&mut pieces, form, words);
            if let Some(uri) = redirect_uri {
                push(
                    &mut pieces,
                    format_args!(
                        "<dt>Redirect URI</dt><dd><code class=\"copy\">{}</code>\
                         <p class=\"hint\">Register it at {} exactly so: a slash more, another \
                         number or <code>localhost</code> instead, and the login is refused.</p></dd>",
                        Escaped(uri),
                        Escaped(&form.display_name)
                    ),
                );
            }
            list(body, "first", &pieces);
        }
        Asked::Cookies { entry_url, .. } => {
            let at = Link::parse(entry_url).map_or_else(
                || Escaped(&form.display_name).to_string(),
                |link| anchor(&link),
            );
            push(
                body,
                format_args!(
                    "<ol><li>Log in at {at}</li>\
                     <li>Open the developer tools there (F12), then <b>Application</b> or \
                     <b>Storage</b>, and <b>Cookies</b></li>\
                     <li>Copy the value of each cookie below</li></ol>"
                ),
            );
        }
    }
}

/// What happens with what is typed.
fn facts(body: &mut String, form: &LoginForm, words: &Words) {
    let mut pieces = String::new();
    if !matches!(form.asked, Asked::Client { .. } | Asked::Cookies { .. }) {
        links(&mut pieces, form, words);
    }
    if !form.hosts.is_empty() {
        push(&mut pieces, format_args!("<dt>{}</dt><dd>", words.sent));
        // one chip takes no more room than the words that would fold it
        let fits = form.hosts.len() <= HOSTS_SHOWN + 1;
        let shown = if fits { form.hosts.len() } else { HOSTS_SHOWN };
        let (shown, folded) = form
            .hosts
            .split_at_checked(shown)
            .unwrap_or((&form.hosts, &[]));
        hosts(&mut pieces, shown);
        if !folded.is_empty() {
            push(
                &mut pieces,
                format_args!("<details><summary>{} more</summary>", folded.len()),
            );
            hosts(&mut pieces, folded);
            pieces.push_str("</details>");
        }
        pieces.push_str("</dd>");
    }
    if let Asked::SigningSecret { forward } = &form.asked {
        push(
            &mut pieces,
            format_args!(
                "<dt>Good webhooks go to</dt><dd><code class=\"chip\">{}</code></dd>",
                Escaped(forward)
            ),
        );
    }
    if let Some(variable) = &form.variable {
        push(
            &mut pieces,
            format_args!(
                "<dt>Programs find a placeholder in</dt><dd><code class=\"chip\">{}</code></dd>",
                Escaped(variable)
            ),
        );
    }
    list(body, "facts", &pieces);
}

fn list(body: &mut String, class: &str, pieces: &str) {
    if !pieces.is_empty() {
        push(body, format_args!("<dl class=\"{class}\">{pieces}</dl>"));
    }
}

/// The provider's own pages, where what is asked for comes from.
fn links(pieces: &mut String, form: &LoginForm, words: &Words) {
    let links = form.key_urls.iter().filter_map(|url| Link::parse(url));
    let mut links = links.take(KEY_URLS_SHOWN).peekable();
    if links.peek().is_none() {
        return;
    }
    push(pieces, format_args!("<dt>{}</dt>", words.links));
    for link in links {
        push(pieces, format_args!("<dd>{}</dd>", anchor(&link)));
    }
}

fn anchor(link: &Link) -> String {
    format!(
        "<a href=\"{}\" target=\"_blank\" rel=\"noopener noreferrer\">{}</a>",
        Escaped(&link.address),
        Escaped(&link.shown)
    )
}

fn hosts(pieces: &mut String, hosts: &[String]) {
    pieces.push_str("<ul>");
    for host in hosts {
        push(
            pieces,
            format_args!("<li><code class=\"chip\">{}</code></li>", Escaped(host)),
        );
    }
    pieces.push_str("</ul>");
}
