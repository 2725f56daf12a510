//! A directory over time: files are written, the folder is scanned, and what it then holds is compared.

use super::*;

/// Runs a script: each step writes files (`None` removes one), scans, and compares the objects' names and the notes.
struct Bench {
    dir: tempfile::TempDir,
    folder: Folder,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        Self { dir, folder }
    }

    #[track_caller]
    fn check(&mut self, files: &[(&str, Option<&str>)], objects: &[&str], notes: &[&str]) -> Contents {
        for (name, text) in files {
            let path = self.dir.path().join(name);
            match text {
                Some(text) => fs::write(path, text).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
        let contents = self.folder.scan();
        assert_eq!(shown(&contents.objects), objects, "{contents:#?}");
        assert_eq!(contents.notes.iter().map(ToString::to_string).collect::<Vec<_>>(), notes);
        contents
    }
}

fn shown(objects: &Objects) -> Vec<String> {
    let nodes = objects.nodes.values().map(|node| format!("node {} {:?}", node.name, node.internal_ips));
    let pods = objects.pods.values().map(|pod| format!("pod {} {:?}", pod.name, pod.ips));
    let namespaces = objects.namespaces.keys().map(|name| format!("namespace {name}"));
    let policies = objects.policies.keys().map(|name| format!("policy {name}"));
    let services = objects.services.values().map(|one| format!("service {} {:?}", one.name, one.cluster_ips));
    let slices = objects.endpoint_slices.values().map(|one| format!("slice {} {}", one.name, one.endpoints.len()));
    nodes.chain(pods).chain(namespaces).chain(policies).chain(services).chain(slices).collect()
}

fn pod(name: &str, ip: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{nodeName: b}}\nstatus: {{podIPs: [{{ip: {ip}}}]}}\n"
    )
}

#[test]
fn documents_lists_and_json_are_read() {
    let list = r#"{"apiVersion": "v1", "items": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "n"}}],
        "kind": "List"} {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "z"}}]}"#;
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: b}\nstatus: {addresses: [{type: InternalIP, address: 'fd00::1'}]}";
    let yaml = format!("---\n{}---\n# nothing\n---\n{node}\n", pod("a", "10.1.0.7"));
    Bench::new().check(
        &[("a.yaml", Some(&yaml)), ("b.json", Some(list)), ("c.txt", Some("{")), (".d.yaml", Some("{"))],
        &["node b [fd00::1]", "pod default/a [10.1.0.7]", "pod default/z []", "namespace n", "policy n/p"],
        &[],
    );
}

#[test]
fn a_broken_file_keeps_its_last_good_objects() {
    let mut bench = Bench::new();
    let good = bench.check(&[("a.yaml", Some(&pod("a", "10.1.0.7")))], &["pod default/a [10.1.0.7]"], &[]);
    assert!(good.whole && good.listed);
    let broken = bench.check(
        &[("a.yaml", Some("kind: Pod\nmetadata: [")), ("b.yaml", Some(&pod("b", "10.1.0.8")))],
        &["pod default/a [10.1.0.7]", "pod default/b [10.1.0.8]"],
        &["a.yaml:2: unclosed bracket '[' at line 2, column 11; correct the file, until then its last good objects stand"],
    );
    assert!(broken.whole);
    bench.check(
        &[("a.yaml", Some(&pod("c", "10.1.0.9")))],
        &["pod default/b [10.1.0.8]", "pod default/c [10.1.0.9]"],
        &[],
    );
    bench.check(&[("a.yaml", None)], &["pod default/b [10.1.0.8]"], &[]);
}

#[test]
fn a_file_that_was_never_good_leaves_the_folder_incomplete() {
    let mut bench = Bench::new();
    let contents = bench.check(
        &[("a.json", Some("{\n\"kind\": }"))],
        &[],
        &["a.json:2: expected value at line 2 column 9; correct the file, until then nothing of it is used"],
    );
    assert!(contents.listed && !contents.whole);
    assert!(
        bench
            .check(&[("a.json", Some("{}"))], &[], &["a.json: kind: is missing; correct it, until then it is not used"])
            .listed
    );
    assert!(bench.check(&[("a.json", Some(""))], &[], &[]).whole);
}

#[test]
fn a_bad_object_keeps_its_last_good_state_and_the_others_change() {
    let mut bench = Bench::new();
    let both = |a: &str, b: &str| format!("{}---\n{}", pod("a", a), pod("b", b));
    bench.check(
        &[("a.yaml", Some(&both("10.1.0.7", "10.1.0.8")))],
        &["pod default/a [10.1.0.7]", "pod default/b [10.1.0.8]"],
        &[],
    );
    bench.check(
        &[("a.yaml", Some(&both("10.1.0.300", "10.1.0.9")))],
        &["pod default/a [10.1.0.7]", "pod default/b [10.1.0.9]"],
        &["a.yaml: Pod default/a: status.podIPs[0].ip: \"10.1.0.300\" is not an IP address; correct it, until then its last good state stands"],
    );
    let nameless = both("10.1.0.7", "10.1.0.9").replace("{name: a}", "{name: A_1}");
    bench.check(
        &[("a.yaml", Some(&nameless))],
        &["pod default/a [10.1.0.7]", "pod default/b [10.1.0.9]"],
        &["a.yaml: metadata.name: \"A_1\" is not a name: lower case letters, digits, '-' and '.', at most 253; correct it, until then it is not used"],
    );
}

fn policy(name: &str, more: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{podSelector: {{matchLabels: {{a: b}}}}{more}}}\n"
    )
}

#[test]
fn a_policy_that_was_never_good_is_closed_until_it_is_and_then_keeps_its_last_good_state() {
    let mut bench = Bench::new();
    let rules = |contents: &Contents| -> Vec<(usize, usize)> {
        let policies = contents.objects.policies.values();
        policies.map(|policy| (policy.pod_selector.requirements().len(), policy.ingress.len())).collect()
    };
    let (good, bad) = (policy("p", ", ingress: [{}]"), policy("p", ", ingress: [{from: 7}]"));
    let closed = "a.yaml: NetworkPolicy default/p: spec.ingress[0].from: is not a list; correct it, until then the pods that it may select are isolated, and it lets nobody in or out";
    let last = "a.yaml: NetworkPolicy default/p: spec.ingress[0].from: is not a list; correct it, until then its last good state stands";
    let contents = bench.check(&[("a.yaml", Some(&bad))], &["policy default/p"], &[closed]);
    assert_eq!((rules(&contents), contents.whole), (vec![(1, 0)], true));
    // It stays so, whatever else changes and however it is bad: the selector, too, is read anew.
    let worse = bad.replace("{matchLabels: {a: b}}", "7");
    let contents = bench.check(&[("a.yaml", Some(&worse))], &["policy default/p"], &[closed]);
    assert_eq!(rules(&contents), [(0, 0)]);
    let nameless = bad.replace("{name: p}", "{name: P_}");
    let contents = bench.check(
        &[("a.yaml", Some(&nameless))],
        &["policy default/p"],
        &["a.yaml: metadata.name: \"P_\" is not a name: lower case letters, digits, '-' and '.', at most 253; correct it, until then it is not used"],
    );
    assert_eq!(rules(&contents), [(0, 0)]);
    let contents = bench.check(&[("a.yaml", Some(&bad))], &["policy default/p"], &[closed]);
    assert_eq!(rules(&contents), [(1, 0)]);
    let contents = bench.check(&[("a.yaml", Some(&good))], &["policy default/p"], &[]);
    assert_eq!(rules(&contents), [(1, 1)]);
    let contents = bench.check(&[("a.yaml", Some(&bad))], &["policy default/p"], &[last]);
    assert_eq!(rules(&contents), [(1, 1)]);
}

#[test]
fn what_is_no_regular_file_is_told_and_holds_up_nothing() {
    use std::os::unix::{fs::symlink, net::UnixListener};
    let mut bench = Bench::new();
    let path = |name: &str| bench.dir.path().join(name);
    nix::unistd::mkfifo(&path("a.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("/dev/zero", path("b.yaml")).unwrap();
    fs::create_dir(path("c.yaml")).unwrap();
    let socket = UnixListener::bind(path("d.yaml")).unwrap();
    fs::write(path("large.txt"), "").unwrap();
    fs::File::options().write(true).open(path("large.txt")).unwrap().set_len((256 << 20) + 1).unwrap();
    symlink("large.txt", path("e.yaml")).unwrap();
    fs::write(path("good.txt"), pod("a", "10.1.0.7")).unwrap();
    symlink("good.txt", path("f.yaml")).unwrap();
    symlink("nothing", path("g.yaml")).unwrap();
    let start = std::time::Instant::now();
    let regular = "and only regular files are read; correct the file, until then nothing of it is used";
    let contents = bench.check(
        &[],
        &["pod default/a [10.1.0.7]"],
        &[
            &format!("a.yaml: is a FIFO, {regular}"),
            &format!("b.yaml: is a device, {regular}"),
            &format!("c.yaml: is a directory, {regular}"),
            &format!("d.yaml: is a socket, {regular}"),
            "e.yaml: is larger than a file of manifests may be (256 MiB); divide it; correct the file, until then nothing of it is used",
        ],
    );
    assert!(contents.listed && !contents.whole);
    assert!(start.elapsed() < std::time::Duration::from_secs(4), "it took {:?}", start.elapsed());
    drop(socket);
    for name in ["a.yaml", "b.yaml", "d.yaml", "e.yaml"] {
        fs::remove_file(bench.dir.path().join(name)).unwrap();
    }
    fs::remove_dir(bench.dir.path().join("c.yaml")).unwrap();
    assert!(bench.check(&[], &["pod default/a [10.1.0.7]"], &[]).whole);
}

#[test]
fn services_and_their_slices_keep_their_last_good_state_too() {
    let mut bench = Bench::new();
    let both = |service: &str, endpoint: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{clusterIP: {service}}}\n---\n\
             apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: web-x}}\naddressType: IPv4\n\
             endpoints: [{{addresses: [{endpoint}]}}]\n"
        )
    };
    let good = ["service default/web [10.96.0.1]", "slice default/web-x 1"];
    bench.check(&[("a.yaml", Some(&both("10.96.0.1", "10.1.0.7")))], &good, &[]);
    bench.check(
        &[("a.yaml", Some(&both("10.96.0.x", "10.1.0.x")))],
        &good,
        &[
            "a.yaml: Service default/web: spec.clusterIP: \"10.96.0.x\" is not an IP address; correct it, until then its last good state stands",
            "a.yaml: EndpointSlice default/web-x: endpoints[0].addresses[0]: \"10.1.0.x\" is not an IP address; correct it, until then its last good state stands",
        ],
    );
    bench.check(
        &[("a.yaml", Some("apiVersion: [")), ("b.yaml", Some(&both("10.96.0.2", "10.1.0.8")))],
        &good,
        &[
            "a.yaml:1: unclosed bracket '[' at line 1, column 13; correct the file, until then its last good objects stand",
            "b.yaml: Service default/web: stands in an earlier file too, which is used; remove one of them",
            "b.yaml: EndpointSlice default/web-x: stands in an earlier file too, which is used; remove one of them",
        ],
    );
}

#[test]
fn of_an_object_that_stands_twice_the_first_file_wins() {
    let twice = format!("{}---\n{}", pod("a", "10.1.0.7"), pod("a", "10.1.0.8"));
    Bench::new().check(
        &[("b.yaml", Some(&twice)), ("a.yaml", Some(&pod("a", "10.1.0.6")))],
        &["pod default/a [10.1.0.6]"],
        &[
            "b.yaml: Pod default/a: stands twice in this file; the first one is used, remove the other",
            "b.yaml: Pod default/a: stands in an earlier file too, which is used; remove one of them",
        ],
    );
}

#[test]
fn unknown_kinds_are_noted_and_ignored() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {podCIDRs: 7}\n";
    Bench::new().check(
        &[("a.yaml", Some(&format!("{deployment}---\n{deployment}---\n{}", pod("a", "10.1.0.7"))))],
        &["pod default/a [10.1.0.7]"],
        &["a.yaml: 2 of kind apps/v1 Deployment ignored: nothing here uses it"],
    );
}

#[test]
fn a_directory_that_goes_takes_nothing_with_it() {
    let mut bench = Bench::new();
    bench.check(&[("a.yaml", Some(&pod("a", "10.1.0.7")))], &["pod default/a [10.1.0.7]"], &[]);
    fs::remove_dir_all(bench.dir.path()).unwrap();
    let contents = bench.folder.scan();
    assert_eq!(shown(&contents.objects), ["pod default/a [10.1.0.7]"]);
    assert!(contents.notes[0].to_string().contains("what was last read from it stands"), "{:?}", contents.notes);
}

#[test]
fn a_directory_that_is_not_there_yet_is_not_synced() {
    let contents = Folder::new("/nonexistent/manifests").scan();
    assert!(!contents.listed && !contents.whole);
    assert!(contents.notes[0].to_string().starts_with("/nonexistent/manifests: cannot list"), "{:?}", contents.notes);
}

#[test]
fn unchanged_objects_stay_the_same_allocation() {
    let mut bench = Bench::new();
    let one = bench.check(&[("a.yaml", Some(&pod("a", "10.1.0.7")))], &["pod default/a [10.1.0.7]"], &[]);
    let text = format!("{}---\n{}", pod("a", "10.1.0.7"), pod("b", "10.1.0.8"));
    let two = bench.check(&[("a.yaml", Some(&text))], &["pod default/a [10.1.0.7]", "pod default/b [10.1.0.8]"], &[]);
    assert!(Arc::ptr_eq(one.objects.pods.values().next().unwrap(), two.objects.pods.values().next().unwrap()));
}

#[test]
#[ignore = "measures; run with --release --ignored --nocapture"]
fn a_hundred_thousand_pods_are_read_quickly() {
    let mut bench = Bench::new();
    let text: Vec<String> = (0..100_000_u32)
        .map(|n| pod(&format!("web-{n}"), &std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string()))
        .collect();
    for (index, part) in text.chunks(10_000).enumerate() {
        fs::write(bench.dir.path().join(format!("{index}.yaml")), part.join("---\n")).unwrap();
    }
    let start = std::time::Instant::now();
    assert_eq!(bench.folder.scan().objects.pods.len(), 100_000);
    eprintln!("first scan {:?}", start.elapsed());
    let start = std::time::Instant::now();
    bench.folder.scan();
    eprintln!("unchanged scan {:?}", start.elapsed());
    fs::write(bench.dir.path().join("z.yaml"), pod("one-more", "172.16.0.1")).unwrap();
    let start = std::time::Instant::now();
    assert_eq!(bench.folder.scan().objects.pods.len(), 100_001);
    eprintln!("one file changed {:?}", start.elapsed());
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    eprintln!("RSS {} MB", statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096 / 1_000_000);
}
