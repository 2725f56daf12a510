//! The chart and the manifest, as Helm and the API server see them.

use std::{fs, process::Command};

use test_kit::cluster::{
    Cluster,
    install::{adapted, deployment, values},
    process::run,
};

fn cluster() -> Cluster {
    Cluster::from_env().expect("a cluster")
}

/// `helm template`, with these arguments besides.
fn template(cluster: &Cluster, arguments: &[&str]) -> Command {
    let mut helm = cluster.control.helm();
    helm.args(["template", "ferrule", "--namespace", "kube-system", "--kube-version", "1.34.2"]);
    helm.arg(deployment().0).args(arguments);
    helm
}

#[test]
fn the_api_server_takes_chart_and_manifest_without_a_warning() {
    let cluster = cluster();
    let manifest = fs::read_to_string(deployment().1).expect("the manifest");
    let rendered = |arguments: &[&str]| run(&mut template(&cluster, arguments)).expect("Helm renders the chart");
    let set = values();
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let everything = [
        "--set=metrics.enabled=true,countedMemory=true,mtu=1400,attach=clsact,routing=auto",
        "--set=devices={eth0},podLabels.team=net,podAnnotations.note=x,imagePullSecrets[0].name=pull",
        "--set=resources.limits.memory=256Mi,updateStrategy.rollingUpdate.maxUnavailable=2",
    ];
    for (what, text) in [
        ("the manifest", adapted(&manifest)),
        ("the chart with its hook", rendered(&set)),
        ("the chart with other values", rendered(&everything)),
    ] {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("a file");
        let output = cluster.kubectl_command().args(["apply", "--dry-run=server", "-f"]).arg(file.path()).output();
        let output = output.expect("kubectl runs");
        let words = String::from_utf8_lossy(&output.stderr);
        // What kubectl says of an object that Helm made is no word on the object.
        let warned =
            words.lines().any(|line| line.starts_with("Warning") && !line.contains("last-applied-configuration"));
        assert!(output.status.success() && !warned, "{what}: {words}");
        let taken = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(taken.contains("daemonset.apps/ferrule") && taken.contains("dry run"), "{what}: {taken}");
    }
}

#[test]
fn the_api_server_takes_the_clean_up_pod() {
    let cluster = cluster();
    let text = fs::read_to_string(deployment().1.with_file_name("cleanup.yaml")).expect("the pod");
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), text.replace("NODE", "n1")).expect("a file");
    let output = cluster.kubectl_command().args(["apply", "--dry-run=server", "-f"]).arg(file.path()).output();
    let output = output.expect("kubectl runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !words.contains("Warning"), "{words}");
}

#[test]
fn a_wrong_value_is_refused_by_its_name() {
    let cluster = cluster();
    for (value, field) in [
        ("routing=geneve", "/routing"),
        ("vxlanPort=0", "/vxlanPort"),
        ("mtu=575", "/mtu"),
        ("updateStrategy.type=Sometimes", "/updateStrategy/type"),
        ("guardPodAddresses=perhaps", "/guardPodAddresses"),
        ("mark=3", "/mark"),
        ("clusterCIDRs={10.244.0.0}", "/clusterCIDRs/0"),
        ("apiServer=10.0.0.1:6443", "/apiServer"),
        ("cni.binDir=opt/cni/bin", "/cni/binDir"),
        ("conntrack.share=0", "/conntrack/share"),
        ("uninstall.timeoutSeconds=0", "/uninstall/timeoutSeconds"),
        ("kubeproxy=absent", "'kubeproxy'"),
        ("services=yes", "/services"),
        ("kubeProxy=perhaps", "/kubeProxy"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("cgroupRoots=/sys/fs/cgroup", "'cgroupRoots'"),
    ] {
        let words = run(&mut template(&cluster, &["--set", value])).expect_err(value).to_string();
        assert!(words.contains(field), "{value}: {words}");
    }
}
