//! Certificates: an authority, the API server's, an administrator's and the kubelets'; made once, good for a year.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::{
    process::run,
    settings::{self, API_SERVER},
};

/// How many nodes have a certificate.
pub const NODES: u8 = 4;
/// The API server's names: its addresses, its Service's and the name that clients in pods use.
const NAMES: &str =
    "subjectAltName=IP:172.30.0.1,IP:fd00:30::1,IP:10.96.0.1,IP:fd00:96::1,DNS:kubernetes.default.svc,DNS:kubernetes";

/// Makes what is missing in `folder`.
///
/// # Errors
/// Where openssl fails.
pub fn ensure(folder: &Path) -> Result<()> {
    if folder.join("done").exists() {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    debug_assert!(NAMES.contains(API_SERVER));
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 365 -subj /CN=ferrule-test")?;
    sign(folder, "apiserver", "/CN=kube-apiserver", NAMES)?;
    let client = "extendedKeyUsage=clientAuth";
    sign(folder, "admin", "/O=system:masters/CN=admin", client)?;
    let mut users = vec!["admin".to_owned()];
    for number in 1..=NODES {
        let name = format!("n{number}");
        sign(folder, &name, &format!("/O=system:nodes/CN=system:node:{name}"), client)?;
        users.push(name);
    }
    openssl(folder, "genrsa -out sa.key 2048")?;
    openssl(folder, "rsa -in sa.key -pubout -out sa.pub")?;
    for user in users {
        fs::write(folder.join(format!("{user}.kubeconfig")), settings::kubeconfig(folder, &user))?;
    }
    Ok(fs::write(folder.join("done"), "")?)
}

fn sign(folder: &Path, name: &str, subject: &str, extension: &str) -> Result<()> {
    openssl(folder, &format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj {subject}"))?;
    fs::write(folder.join(format!("{name}.ext")), extension)?;
    let by = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 365";
    openssl(folder, &format!("x509 -req -in {name}.csr {by} -out {name}.crt -extfile {name}.ext"))
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    run(Command::new("openssl").args(arguments.split(' ')).current_dir(folder)).map(drop)
}
