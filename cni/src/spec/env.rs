//! The environment of a call: which command, for which attachment.

use std::ffi::OsString;

use ferrule_api::plugin::AttachmentId;

use super::args::ArgsError;

/// A call, with exactly the variables that its command needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// No command: someone runs the binary by hand.
    About,
    /// ADD.
    Add(Target),
    /// DEL.
    Del(AttachmentId),
    /// CHECK.
    Check(Target),
    /// GC.
    Gc,
    /// STATUS.
    Status,
    /// VERSION.
    Version,
}

/// An attachment and the network namespace that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Container id and interface name.
    pub id: AttachmentId,
    /// `CNI_NETNS`, a path.
    pub netns: String,
    /// `CNI_ARGS`, unread.
    pub args: String,
}

/// A variable that is not what the spec says (code 4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// `CNI_COMMAND` names no command.
    #[error("CNI_COMMAND {0:?} is unknown; use ADD, DEL, CHECK, GC, STATUS or VERSION")]
    UnknownCommand(String),
    /// Required variables are missing or empty.
    #[error("{command} needs {}", names.join(", "))]
    Missing {
        /// The command.
        command: &'static str,
        /// All that miss.
        names: Vec<&'static str>,
    },
    /// A variable is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// `CNI_CONTAINERID` has characters that the spec does not allow.
    #[error("CNI_CONTAINERID {0:?} must begin with a letter or digit and go on with letters, digits, '_', '.' or '-'")]
    ContainerId(String),
    /// `CNI_IFNAME` is no name that the kernel takes.
    #[error("CNI_IFNAME {name:?} {reason}")]
    Ifname {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// `CNI_ARGS` cannot be read.
    #[error(transparent)]
    Args(#[from] ArgsError),
}

/// Reads the call from the process's variables, which `get` gives.
///
/// # Errors
/// A variable is missing or wrong.
pub fn parse(get: impl Fn(&'static str) -> Option<OsString>) -> Result<Call, EnvError> {
    let variables = Variables { get };
    match variables.text("CNI_COMMAND")?.as_str() {
        "" => Ok(Call::About),
        "ADD" => variables.target("ADD").map(Call::Add),
        "CHECK" => variables.target("CHECK").map(Call::Check),
        "DEL" => {
            variables.require("DEL", &["CNI_CONTAINERID", "CNI_IFNAME"])?;
            variables.attachment().map(Call::Del)
        }
        "GC" => Ok(Call::Gc),
        "STATUS" => Ok(Call::Status),
        "VERSION" => Ok(Call::Version),
        other => Err(EnvError::UnknownCommand(other.to_owned())),
    }
}

struct Variables<F> {
    get: F,
}

impl<F: Fn(&'static str) -> Option<OsString>> Variables<F> {
    fn text(&self, name: &'static str) -> Result<String, EnvError> {
        (self.get)(name).unwrap_or_default().into_string().map_err(|_| EnvError::NotUtf8(name))
    }

    fn require(&self, command: &'static str, names: &[&'static str]) -> Result<(), EnvError> {
        let names: Vec<_> =
            names.iter().copied().filter(|name| (self.get)(name).is_none_or(|value| value.is_empty())).collect();
        if names.is_empty() { Ok(()) } else { Err(EnvError::Missing { command, names }) }
    }

    fn target(&self, command: &'static str) -> Result<Target, EnvError> {
        self.require(command, &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"])?;
        Ok(Target { id: self.attachment()?, netns: self.text("CNI_NETNS")?, args: self.text("CNI_ARGS")? })
    }

    fn attachment(&self) -> Result<AttachmentId, EnvError> {
        let container_id = self.text("CNI_CONTAINERID")?;
        if !is_identifier(&container_id) {
            return Err(EnvError::ContainerId(container_id));
        }
        let ifname = self.text("CNI_IFNAME")?;
        match ifname_fault(&ifname) {
            Some(reason) => Err(EnvError::Ifname { name: ifname, reason }),
            None => Ok(AttachmentId { container_id, ifname }),
        }
    }
}

/// Whether a container id or network name is `^[A-Za-z0-9][A-Za-z0-9_.-]*$`.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Why the kernel would not take a name for an interface; its rule is `dev_valid_name`.
#[must_use]
pub fn ifname_fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is empty"),
        "." | ".." => Some("must not be '.' or '..'"),
        _ if name.len() > 15 => Some("is longer than 15 characters"),
        _ if name
            .contains(|letter: char| letter == '/' || letter == ':' || letter.is_whitespace() || letter == '\0') =>
        {
            Some("must hold no '/', ':' or white space")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(variables: &str) -> Result<Call, EnvError> {
        parse(|name| {
            variables
                .split(' ')
                .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
                .map(|(_, value)| OsString::from(value.replace('~', " ")))
        })
    }

    fn check(variables: &str, expected: &str) {
        let found = call(variables).map(|call| format!("{call:?}")).unwrap_or_else(|error| error.to_string());
        assert!(found.contains(expected), "{variables}\n  {found}\n  {expected}");
    }

    #[test]
    fn no_command_is_a_question_about_the_binary() {
        check("", "About");
        check("CNI_COMMAND=", "About");
    }

    #[test]
    fn an_unknown_command_is_named() {
        check("CNI_COMMAND=add", "CNI_COMMAND \"add\" is unknown");
    }

    #[test]
    fn one_error_names_all_that_miss() {
        check("CNI_COMMAND=ADD", "ADD needs CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME");
        check("CNI_COMMAND=CHECK CNI_NETNS= CNI_IFNAME=eth0", "CHECK needs CNI_CONTAINERID, CNI_NETNS");
        check("CNI_COMMAND=DEL", "DEL needs CNI_CONTAINERID, CNI_IFNAME");
    }

    #[test]
    fn del_needs_no_netns() {
        check("CNI_COMMAND=DEL CNI_CONTAINERID=c CNI_IFNAME=eth0", "Del(");
    }

    #[test]
    fn version_status_and_gc_ignore_the_other_variables() {
        check("CNI_COMMAND=VERSION CNI_CONTAINERID= CNI_NETNS=dummy CNI_IFNAME=a/b", "Version");
        check("CNI_COMMAND=STATUS", "Status");
        check("CNI_COMMAND=GC CNI_IFNAME=a:b", "Gc");
    }

    #[test]
    fn container_ids_hold_letters_digits_and_three_marks() {
        for id in ["_a", "-a", ".a", "a/b", "a~b", "ä", "a:b"] {
            check(&format!("CNI_COMMAND=DEL CNI_CONTAINERID={id} CNI_IFNAME=eth0"), "CNI_CONTAINERID");
        }
        for id in ["a", "0", "A_b.c-9", &"f".repeat(64)] {
            check(&format!("CNI_COMMAND=DEL CNI_CONTAINERID={id} CNI_IFNAME=eth0"), "Del(");
        }
    }

    #[test]
    fn interface_names_are_what_the_kernel_takes() {
        for name in [".", "..", "a/b", "a:b", "a~b", "abcdefghijklmnop", "é234567890123456"] {
            check(&format!("CNI_COMMAND=DEL CNI_CONTAINERID=c CNI_IFNAME={name}"), "CNI_IFNAME");
        }
        for name in ["eth0", "abcdefghijklmno", "...", "a.b"] {
            check(&format!("CNI_COMMAND=DEL CNI_CONTAINERID=c CNI_IFNAME={name}"), "Del(");
        }
    }

    #[test]
    fn text_that_is_not_utf_8_is_named() {
        use std::os::unix::ffi::OsStringExt;
        let error = parse(|name| match name {
            "CNI_COMMAND" => Some("DEL".into()),
            "CNI_CONTAINERID" => Some(OsString::from_vec(vec![0xff])),
            _ => Some("eth0".into()),
        });
        assert_eq!(error, Err(EnvError::NotUtf8("CNI_CONTAINERID")));
    }
}
