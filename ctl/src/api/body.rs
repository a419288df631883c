//! Reading a request's body. Docker's tools and curl send no or any Content-Type: it is not looked at.

use axum::body::Bytes;
use serde::de::DeserializeOwned;

use super::Error;

/// Reads JSON; a refusal names the field.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { format!("field {path}: ") };
        refused(format!("{field}{}", error.inner()))
    })?;
    reader.end().map_err(|error| refused(error.to_string()))?;
    Ok(value)
}

fn refused(why: String) -> Error {
    Error::invalid("request", why, "see the API's description for the fields and their types")
}

#[cfg(test)]
mod tests {
    use super::super::{AddPort, CreateNetwork};
    use super::*;

    fn refusal<T: DeserializeOwned>(text: &'static str) -> String {
        match read::<T>(&Bytes::from_static(text.as_bytes())) {
            Ok(_) => String::new(),
            Err(error) => error.error,
        }
    }

    #[test]
    fn refusals_name_the_field() {
        assert!(refusal::<CreateNetwork>(r#"{"name":"RED","colour":1}"#).contains("colour"));
        let subnet = refusal::<CreateNetwork>(r#"{"name":"RED","subnets":[{"subnet":"10.0.0.0/33"}]}"#);
        assert!(subnet.contains("subnets[0].subnet"), "{subnet}");
        assert!(refusal::<CreateNetwork>(r#"{"name":5}"#).contains("field name"));
        assert!(refusal::<CreateNetwork>(r#"{}"#).contains("`name`"));
        assert!(refusal::<AddPort>(r#"{"network":"RED","name":"web","mac":"02:42"}"#).contains("field mac"));
        assert!(refusal::<AddPort>(r#"{"network":"RED","name":"web","pid":-1}"#).contains("field pid"));
        assert!(!refusal::<AddPort>(r#"{"network":"RED","name":"web"} x"#).is_empty());
        assert!(!refusal::<AddPort>("").is_empty() && !refusal::<AddPort>("[]").is_empty());
    }
}
