//! The envelope as it travels: written so that a queue takes it, read so that nothing is lost.

use serde_json::value::RawValue;

use super::body::Body;
use super::meta::Meta;
use super::{DEFAULT_METHOD, Envelope, Message, Options};
use crate::json::{self, Fields, Writer};

/// The text is no envelope: no object with a subject and a message that has a url.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("can't be read as an envelope: {0}")]
pub struct Undecodable(&'static str);

impl Envelope {
    /// Reads what travels: this version's, an earlier or a later one's, and 1.0's and 2.0's, which have no
    /// `meta`. Only a subject and a url are needed; a field that is not understood travels on as it is.
    ///
    /// # Errors
    /// The text is no envelope.
    pub fn read(text: &str) -> Result<Self, Undecodable> {
        let mut fields: Fields<'_> = serde_json::from_str(text).map_err(|_| Undecodable("it is no JSON object"))?;
        let subject = fields.take_as("subject").ok_or(Undecodable("it has no subject"))?;
        let message = take_message(&mut fields).ok_or(Undecodable("it has no message"))?;
        let mut meta = fields.take("meta").and_then(Fields::read);
        let form: Option<String> = meta.as_mut().and_then(|meta| meta.take_as("body"));
        let bytes: Option<u64> = meta.as_mut().and_then(|meta| meta.take_as("body_bytes"));
        Ok(Self {
            subject,
            message: read_message(message, form.as_deref(), bytes)?,
            key: fields.take_as("id"),
            client: fields.take_as("client"),
            labels: fields.take_as("labels").unwrap_or_default(),
            options: Options::read(&mut fields),
            meta: meta.map(Meta::read),
            extra: fields.rest(),
        })
    }

    /// The text that travels: JSON of characters that a queue may carry only.
    #[must_use]
    pub fn to_wire(&self) -> String {
        self.write(true)
    }

    /// What makes two posts the same: the wire text without `id`, `client` and `meta`.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.write(false)
    }

    fn write(&self, whole: bool) -> String {
        let body = self.message.body.travelling();
        let mut writer = Writer::default();
        writer.text("subject", &self.subject);
        writer.raw("message", &self.message.write(body.as_ref().map(|body| (body.field, body.json.as_str()))));
        if !self.labels.is_empty() {
            writer.raw("labels", &json::array(self.labels.iter().map(|label| json::quoted(label))));
        }
        self.options.write(&mut writer);
        if whole {
            writer.text_if("id", self.key.as_deref());
            writer.text_if("client", self.client.as_deref());
            if let Some(meta) = &self.meta {
                writer.raw(
                    "meta",
                    &meta.write(body.as_ref().and_then(|body| body.form), body.as_ref().and_then(|body| body.bytes)),
                );
            }
        }
        writer.finish(&self.extra)
    }
}

impl Message {
    fn write(&self, body: Option<(&'static str, &str)>) -> String {
        let mut writer = Writer::default();
        writer.text("url", &self.url);
        writer.text("method", &self.method);
        if !self.headers.is_empty() {
            let pairs =
                self.headers.iter().map(|(name, value)| format!("{}:{}", json::quoted(name), json::quoted(value)));
            writer.raw("headers", &format!("{{{}}}", pairs.collect::<Vec<_>>().join(",")));
        }
        if let Some((field, json)) = body {
            writer.raw(field, json);
        }
        writer.finish(&self.extra)
    }
}

/// `message`, or the top level's `body`, which is where 1.0 had it.
pub(super) fn take_message<'a>(fields: &mut Fields<'a>) -> Option<&'a RawValue> {
    fields.take("message").or_else(|| fields.take("body"))
}

/// `form` and `bytes` are what `meta` says of the body.
pub(super) fn read_message(raw: &RawValue, form: Option<&str>, bytes: Option<u64>) -> Result<Message, Undecodable> {
    let mut fields = Fields::read(raw).ok_or(Undecodable("its message is no object"))?;
    let url = fields.take_as("url").ok_or(Undecodable("its message has no url"))?;
    let method: Option<String> = fields.take_as("method");
    let body = match (fields.take("body"), fields.take_as::<String>("body_base64")) {
        (_, Some(base64)) => Body::decode(&base64, form).ok_or(Undecodable("its body is not base64"))?,
        (Some(raw), None) => read_body(raw).ok_or(Undecodable("its body is a string that is no text"))?,
        (None, None) => match fields.take_as("body_ref") {
            Some(reference) => Body::aside(reference, form, bytes),
            None => Body::None,
        },
    };
    Ok(Message {
        url,
        method: method.unwrap_or_else(|| DEFAULT_METHOD.to_owned()).to_uppercase(),
        headers: fields.take("headers").and_then(Fields::read).map(read_headers).unwrap_or_default(),
        body,
        extra: fields.rest(),
    })
}

/// A string is a text, anything else is JSON as it stands. `None` for a string with half a surrogate pair.
pub(super) fn read_body(raw: &RawValue) -> Option<Body> {
    let text = raw.get();
    if text.starts_with('"') {
        return serde_json::from_str(text).ok().map(Body::Text);
    }
    Some(Body::Json(text.to_owned()))
}

/// Earlier versions let numbers and booleans pass as values; they are sent as they are written.
fn read_headers(fields: Fields<'_>) -> Vec<(String, String)> {
    let text = |raw: &RawValue| match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => Some(text),
        Err(_) if raw.get().starts_with(['{', '[', 'n', '"']) => None,
        Err(_) => Some(raw.get().to_owned()),
    };
    fields.iter().filter_map(|(name, raw)| Some((name.to_owned(), text(raw)?))).collect()
}
