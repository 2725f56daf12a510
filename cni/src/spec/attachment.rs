//! GC's list of attachments that stay.

use ferrule_api::plugin::AttachmentId;
use serde_json::Value;

use super::fields::{FieldError, Fields};

/// The list's key.
pub const VALID: &str = "cni.dev/valid-attachments";
/// The list's key in the specification's drafts, which some callers send still.
pub const OLDER: &str = "cni.dev/attachments";

/// Takes the list from a configuration: the newer key before the older. `null` is Go's empty list; absent is `None`, so
/// that a caller that forgot the list removes nothing.
///
/// # Errors
/// It is no list of objects with `containerID` and `ifname`.
pub fn take(config: &mut Fields) -> Result<Option<Vec<AttachmentId>>, FieldError> {
    let mut found = None;
    for key in [OLDER, VALID] {
        if config.has(key) {
            found = Some(config.objects(key)?.into_iter().map(attachment).collect::<Result<_, _>>()?);
        }
    }
    Ok(found)
}

fn attachment(mut fields: Fields) -> Result<AttachmentId, FieldError> {
    let mut required = |key: &'static str| match fields.string(key)? {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(FieldError::new(fields.path(key), "a string that is not empty", &Value::Null)),
    };
    Ok(AttachmentId { container_id: required("containerID")?, ifname: required("ifname")? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(config: Value, expected: Option<&[(&str, &str)]>) {
        let found = take(&mut Fields::new("", config.clone()).unwrap()).unwrap();
        let expected = expected.map(|pairs| {
            pairs.iter().map(|(id, name)| AttachmentId { container_id: (*id).into(), ifname: (*name).into() }).collect()
        });
        assert_eq!(found, expected, "{config}");
    }

    #[test]
    fn the_newer_key_wins_over_the_older() {
        check(json!({VALID: [{"containerID": "a", "ifname": "eth0"}]}), Some(&[("a", "eth0")]));
        check(json!({OLDER: [{"containerID": "b", "ifname": "eth0"}]}), Some(&[("b", "eth0")]));
        check(
            json!({OLDER: [{"containerID": "b", "ifname": "eth0"}], VALID: [{"ContainerID": "a", "IfName": "eth1"}]}),
            Some(&[("a", "eth1")]),
        );
    }

    #[test]
    fn an_empty_list_and_gos_null_are_empty_but_absence_is_not() {
        check(json!({VALID: []}), Some(&[]));
        check(json!({VALID: null}), Some(&[]));
        check(json!({}), None);
    }

    #[test]
    fn an_entry_that_names_nothing_is_an_error_before_anything_is_removed() {
        for entry in [json!({"containerID": "a"}), json!({"containerID": "", "ifname": "x"}), json!({}), json!(7)] {
            assert!(take(&mut Fields::new("", json!({VALID: [entry]})).unwrap()).is_err());
        }
    }
}
