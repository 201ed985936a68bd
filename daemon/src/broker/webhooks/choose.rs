//! Which scheme a new endpoint has: a bundled one, one of the home's, or one that came along.

use authsome_proto::request::WebhookAdd;
use authsome_proto::{ErrorCode, WireError};

use crate::broker::Broker;
use crate::errors::{printable, storage};
use crate::files::read_private;
use crate::webhooks::scheme::{self, Scheme};

impl Broker {
    /// The scheme that a request names, and its description unless it is bundled.
    pub(super) fn scheme(
        &self,
        request: &WebhookAdd,
    ) -> Result<(Scheme, Option<String>), WireError> {
        let (text, file) = match (&request.definition, &request.scheme) {
            (Some((text, file)), _) => (text.clone(), file.clone()),
            (None, None) => {
                return Err(
                    WireError::new(ErrorCode::BadRequest, "no scheme was named").hint(known())
                );
            }
            (None, Some(name)) => {
                if let Some(scheme) = Scheme::bundled(name.as_str()) {
                    return Ok((scheme, None));
                }
                let path = self
                    .places
                    .home
                    .join("webhooks")
                    .join(format!("{name}.json"));
                let read = read_private(&path, scheme::FILE_LEN_MAX)
                    .map_err(|error| storage(&format!("read `{}`", path.display()), &error))?;
                let Some(bytes) = read else {
                    return Err(WireError::new(
                        ErrorCode::BadRequest,
                        format!("no webhook scheme named `{name}`"),
                    )
                    .hint(format!(
                        "{}; another one can be described in `{}`",
                        known(),
                        path.display()
                    )));
                };
                let text = String::from_utf8(bytes).map_err(|_| {
                    let what = format!("`{}` is not UTF-8 text", path.display());
                    WireError::new(ErrorCode::BadDefinition, what)
                })?;
                (text, path.display().to_string())
            }
        };
        let bad = |what: String| {
            WireError::new(ErrorCode::BadDefinition, what)
                .hint("`docs/webhooks.md` describes what stands in such a file")
        };
        let file = printable(&file);
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > scheme::FILE_LEN_MAX {
            return Err(bad(format!(
                "`{file}` is longer than {} bytes",
                scheme::FILE_LEN_MAX
            )));
        }
        let scheme = Scheme::parse(&text)
            .map_err(|error| bad(format!("`{file}` describes no scheme")).because(&error))?;
        if Scheme::bundled(scheme.name.as_str()).is_some() {
            return Err(bad(format!(
                "`{file}` names itself `{}`, which is bundled; give it a name of its own",
                scheme.name
            )));
        }
        if request.scheme.as_ref().is_some_and(|it| *it != scheme.name) {
            return Err(bad(format!("`{file}` names itself `{}`", scheme.name)));
        }
        Ok((scheme, Some(text)))
    }
}

fn known() -> String {
    let names: Vec<String> = Scheme::all_bundled()
        .map(|scheme| format!("`{}`", scheme.name))
        .collect();
    format!("there is {}", names.join(", "))
}
