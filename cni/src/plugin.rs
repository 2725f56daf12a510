//! A call from beginning to end: environment and stdin in, one object on stdout out, one line in the log. Entry points
//! only parse and dispatch; the commands are in [`crate::commands`].

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Instant, SystemTime},
};

use serde_json::Value;

use crate::{
    commands::{self, Context},
    fault::Fault,
    journal::{self, Entry},
    spec::{
        config::{DEFAULT_LOG, NetConf},
        env::{self as environment, Call, EnvError},
        error::CniError,
        fields::Fields,
        version::Version,
    },
    stdin,
};

/// Serves the call that the process was started for.
#[must_use]
pub fn run() -> ExitCode {
    let began = Instant::now();
    let outcome = match environment::parse(env::var_os) {
        Ok(Call::About) => {
            // Who does not read it is no error.
            let _ = writeln!(std::io::stderr(), "{}", about());
            return ExitCode::SUCCESS;
        }
        Ok(Call::Version) => Outcome::of_version(),
        Ok(call) => Outcome::of(&call),
        Err(error) => Outcome::of_environment(error),
    };
    outcome.write();
    outcome.log(began);
    if outcome.error.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn about() -> String {
    format!(
        "ferrule-cni {}: the CNI plugin of Ferrule, started by a container runtime with CNI_COMMAND set.\n\
         CNI protocol versions supported: {}",
        env!("CARGO_PKG_VERSION"),
        Version::ALL.map(Version::as_str).join(", ")
    )
}

/// What a call ended with.
#[derive(Debug)]
struct Outcome {
    result: Option<Value>,
    error: Option<Value>,
    notes: Vec<String>,
    log_file: PathBuf,
}

impl Outcome {
    fn of(call: &Call) -> Self {
        let config = match stdin::whole() {
            Ok(config) => config,
            Err(error) => return Self::failed(Version::LATEST, &Fault::Stdin(error)),
        };
        let version = version_of(&config);
        let conf = match NetConf::parse(config) {
            Ok(conf) => conf,
            Err(error) => return Self::failed(version, &error.into()),
        };
        let log_file = conf.log_file.clone();
        let mut context = Context::new(conf);
        let outcome = match commands::run(call, &mut context) {
            Ok(result) => Self { result, ..Self::empty() },
            Err(fault) => Self::failed(version, &fault),
        };
        Self { notes: context.notes, log_file, ..outcome }
    }

    fn of_version() -> Self {
        let complete = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
        Self { result: Some(commands::version(&stdin::prompt(complete))), ..Self::empty() }
    }

    fn of_environment(error: EnvError) -> Self {
        let complete = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
        let config = stdin::prompt(complete);
        let log_file = NetConf::parse(config.clone()).map(|conf| conf.log_file);
        let outcome = Self::failed(version_of(&config), &error.into());
        Self { log_file: log_file.unwrap_or(outcome.log_file), ..outcome }
    }

    fn failed(version: Version, fault: &Fault) -> Self {
        let mut error = CniError::new(version, fault.code(), fault);
        if let Some(said) = fault.said() {
            error.details = said.to_owned();
        }
        Self { error: serde_json::to_value(error).ok(), ..Self::empty() }
    }

    fn empty() -> Self {
        Self { result: None, error: None, notes: Vec::new(), log_file: DEFAULT_LOG.into() }
    }

    /// One write; a caller that no longer listens is its own fault.
    fn write(&self) {
        if let Some(object) = self.result.as_ref().or(self.error.as_ref()) {
            let mut stdout = std::io::stdout().lock();
            let _ = stdout.write_all(format!("{object}\n").as_bytes()).and_then(|()| stdout.flush());
        }
    }

    fn log(&self, began: Instant) {
        let text = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()).unwrap_or_default();
        let path: &Path = &self.log_file;
        journal::append(
            path,
            &Entry {
                time: journal::timestamp(SystemTime::now()),
                command: &text("CNI_COMMAND"),
                container_id: text("CNI_CONTAINERID"),
                ifname: text("CNI_IFNAME"),
                result: self.result.as_ref(),
                error: self.error.as_ref(),
                notes: &self.notes,
                milliseconds: journal::milliseconds(began.elapsed()),
            },
        );
    }
}

/// The version to answer in: the configuration's, where we speak it.
fn version_of(config: &[u8]) -> Version {
    let asked = serde_json::from_slice(config).ok().and_then(|value| Fields::new("", value).ok());
    let asked = asked.and_then(|mut fields| fields.string("cniVersion").ok().flatten());
    asked.and_then(|asked| Version::parse(&asked).ok()).unwrap_or(Version::LATEST)
}
