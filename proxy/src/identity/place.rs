//! What the path of a cgroup says: which systemd unit, which container.

/// Where a process runs, as the path of its cgroup tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The system's unit, as systemd names it.
    pub(crate) unit: Option<String>,
    /// The container: `RUNTIME:ID`, or `pod:UID/ID` in a pod of Kubernetes.
    pub(crate) container: Option<String>,
}

/// Units that have processes. Slices only hold others.
const UNITS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];
/// Units that may name what is below them.
const OWNERS: [&str; 2] = [".service", ".scope"];
/// How runtimes name a container's scope under the cgroup driver `systemd`.
const SCOPES: [(&str, &str); 5] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "crio"),
    ("libpod-", "podman"),
];
/// The same under the driver `cgroupfs`: the folder that containers of no pod lie in.
const FOLDERS: [(&str, &str); 4] = [
    ("docker", "docker"),
    ("libpod_parent", "podman"),
    ("ecs", "docker"),
    ("lxc", "lxc"),
];

/// Reads the path of a cgroup below the mount, as `/system.slice/nginx.service`.
///
/// Names below a service, a scope or a container are its own to give (`user@1000.service` hands them
/// to a user, a machine's scope to what runs in it), so nothing is read there: who may make cgroups
/// of their own cannot make themselves a unit or a container of another's name.
pub(crate) fn read(path: &str) -> Place {
    let mut place = Place::default();
    let mut pod = None;
    let mut folder = None;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        if place.unit.is_none() && UNITS.iter().any(|unit| name.ends_with(unit)) {
            place.unit = Some(name.to_owned());
        }
        if pod.is_none() {
            pod = pod_uid(name);
        }
        if place.container.is_none() {
            place.container = container(name, pod.as_deref(), folder);
        }
        if place.container.is_some() || OWNERS.iter().any(|unit| name.ends_with(unit)) {
            break;
        }
        if folder.is_none() {
            let known = FOLDERS.iter().find(|(folder, _)| *folder == name);
            folder = known.map(|(_, runtime)| *runtime);
        }
    }
    place
}

fn container(name: &str, pod: Option<&str>, folder: Option<&str>) -> Option<String> {
    if let Some(name) = name.strip_prefix("lxc.payload.") {
        return Some(format!("lxc:{name}"));
    }
    let scope = name.strip_suffix(".scope");
    let scope = scope.and_then(|scope| {
        let runtimes = SCOPES.iter();
        runtimes
            .filter_map(|(prefix, runtime)| Some((*runtime, scope.strip_prefix(prefix)?)))
            .find(|(_, id)| is_id(id))
    });
    let plain = (pod.is_some() || folder.is_some()) && is_id(name);
    let (runtime, id) = match (scope, folder) {
        (Some(scope), _) => scope,
        (None, Some("lxc")) => ("lxc", name),
        (None, folder) if plain => (folder.unwrap_or_default(), name),
        _ => return None,
    };
    Some(match pod {
        Some(pod) => format!("pod:{pod}/{id}"),
        None => format!("{runtime}:{id}"),
    })
}

/// A container's id: 64 hexadecimal digits, or for ECS 32, a dash and a number.
fn is_id(id: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match id.split_once('-') {
        None => id.len() == 64 && hex(id),
        Some((task, number)) => task.len() == 32 && hex(task) && number.parse::<u64>().is_ok(),
    }
}

/// `kubepods-burstable-podUID.slice` (dashes of the UID are underscores there) or `podUID`.
fn pod_uid(name: &str) -> Option<String> {
    let uid = match name.strip_suffix(".slice") {
        Some(slice) => slice.strip_prefix("kubepods-")?.rsplit_once("pod")?.1,
        None => name.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    // A static pod's is 32 digits without dashes.
    let digits = uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    (matches!(uid.len(), 32 | 36) && digits).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1c0b7d5e6a8f9012345678901234567890abcdef1234567890abcdef123456";
    const POD: &str = "8d5a5a0e-6a1e-4f5c-9d0b-2b1d6b0c7f11";

    /// Paths as the systems make them.
    #[test]
    fn units_and_containers_are_read_from_real_paths() {
        let slice_pod = POD.replace('-', "_");
        let table = [
            ("/", None, None),
            ("/init.scope", Some("init.scope"), None),
            ("/system.slice/nginx.service", Some("nginx.service"), None),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                Some("getty@tty1.service"),
                None,
            ),
            (
                "/system.slice/app.service/payload/docker-ID.scope",
                Some("app.service"),
                None,
            ),
            (
                "/user.slice/user-1000.slice/session-3.scope",
                Some("session-3.scope"),
                None,
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/run-u1.service",
                Some("user@1000.service"),
                None,
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
                Some("user@1000.service"),
                None,
            ),
            (
                "/system.slice/docker-ID.scope",
                Some("docker-ID.scope"),
                Some("docker:ID"),
            ),
            (
                "/system.slice/docker-ID.scope/init.scope",
                Some("docker-ID.scope"),
                Some("docker:ID"),
            ),
            (
                "/mine.slice/docker-ID.scope",
                Some("docker-ID.scope"),
                Some("docker:ID"),
            ),
            ("/docker/ID", None, Some("docker:ID")),
            ("/docker/ID/system.slice/x.service", None, Some("docker:ID")),
            ("/docker/buildkit/not-an-id", None, None),
            (
                "/machine.slice/libpod-ID.scope/container",
                Some("libpod-ID.scope"),
                Some("podman:ID"),
            ),
            (
                "/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-1234567890",
                None,
                Some("docker:0123456789abcdef0123456789abcdef-1234567890"),
            ),
            ("/lxc/web1", None, Some("lxc:web1")),
            ("/lxc.payload.web1/init.scope", None, Some("lxc:web1")),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope",
                Some("cri-containerd-ID.scope"),
                Some("pod:POD/ID"),
            ),
            (
                "/kubepods.slice/kubepods-podUID.slice/crio-ID.scope",
                Some("crio-ID.scope"),
                Some("pod:POD/ID"),
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podUID.slice/docker-ID.scope",
                Some("docker-ID.scope"),
                Some("pod:POD/ID"),
            ),
            ("/kubepods/besteffort/podPOD/ID", None, Some("pod:POD/ID")),
            ("/kubepods/podPOD/ID", None, Some("pod:POD/ID")),
        ];
        for (path, unit, container) in table {
            let path = path.replace("podUID", &format!("pod{slice_pod}"));
            let path = path.replace("POD", POD).replace("ID", ID);
            let expected = Place {
                unit: unit.map(|unit| unit.replace("ID", ID)),
                container: container.map(|id| id.replace("POD", POD).replace("ID", ID)),
            };
            assert_eq!(read(&path), expected, "{path}");
        }
    }

    #[test]
    fn below_a_scope_nothing_names_itself_a_container() {
        for (scope, below) in [
            ("machine-web.scope", "payload/docker-ID.scope"),
            ("session-3.scope", "kubepods/podPOD/ID"),
            ("session-3.scope", "lxc.payload.web1"),
        ] {
            let below = below.replace("POD", POD).replace("ID", ID);
            let expected = Place {
                unit: Some(scope.to_owned()),
                container: None,
            };
            assert_eq!(read(&format!("/machine.slice/{scope}/{below}")), expected);
        }
    }
}
