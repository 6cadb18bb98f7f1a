//! How well the proxy that runs here is shut in, as the kernel tells it: whoever could read its memory
//! could read credentials there.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use credpin_ledger::{Found, holder};

use super::{Seen, Verdict};

/// What of a process can be seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    user: u32,
    /// Its effective capabilities, one a bit (capabilities(7)).
    capabilities: u64,
    /// No program that it starts has more rights than itself.
    no_new_privileges: bool,
    /// Whose its files in /proc are: root's where the process cannot be dumped (proc(5)).
    owner: u32,
}

/// By number: what the drop-in identity.conf gives.
const OURS: [(u32, &str); 2] = [(2, "CAP_DAC_READ_SEARCH"), (19, "CAP_SYS_PTRACE")];

/// The process that has the ledger `dir` open; `found` is what was seen of that.
pub(super) fn hardening(dir: &Path, found: Option<Found>) -> Seen {
    let not_checked = |why: &str| (Verdict::NotChecked, format!("not checked: {why}"));
    match found.map(|found| found.in_use) {
        None | Some(Some(false)) => {
            return not_checked("no proxy runs on this ledger; `check` tells once one does");
        }
        Some(_) => {}
    }
    let Some(pid) = holder(dir) else {
        return not_checked("this user, here, cannot tell which process it is; root can");
    };
    match look(pid) {
        Some(process) => judge(pid, process),
        None => not_checked("its files in /proc are hidden from this user; root can see them"),
    }
}

fn look(pid: u32) -> Option<Process> {
    let file = format!("/proc/{pid}/status");
    let owner = fs::metadata(&file).ok()?.uid();
    parse(&fs::read_to_string(file).ok()?, owner)
}

fn parse(status: &str, owner: u32) -> Option<Process> {
    let value = |name: &str| {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::split_whitespace)
    };
    Some(Process {
        // Real, effective, saved, of the file system.
        user: value("Uid")?.nth(1)?.parse().ok()?,
        capabilities: u64::from_str_radix(value("CapEff")?.next()?, 16).ok()?,
        no_new_privileges: value("NoNewPrivs")?.next()? == "1",
        owner,
    })
}

/// The worst of it decides, and all of it is told.
fn judge(pid: u32, process: Process) -> Seen {
    if process.user == 0 {
        let words = format!(
            "process {pid} runs as root, who may read and change all of this host, and whether it can \
             be dumped nobody can see: start it as a user of its own, as credpin-proxy.service does"
        );
        return (Verdict::Mind, words);
    }
    if process.owner != 0 {
        let words = format!(
            "process {pid} can be dumped: whoever else is user {} can read credentials in its memory. \
             Restart it; if that does not help, its log says why",
            process.user
        );
        return (Verdict::Bad, words);
    }
    let mut words = format!("process {pid} cannot be dumped");
    let mut verdict = Verdict::Good;
    let ours: u64 = OURS.iter().map(|(bit, _)| 1 << bit).sum();
    let mut add = |more: &str| {
        // Writing to a string does not fail.
        let _ = write!(words, "; {more}");
    };
    if process.capabilities & !ours != 0 {
        verdict = Verdict::Mind;
        add(
            "it has capabilities that it needs for nothing: start it as credpin-proxy.service does",
        );
    } else if process.capabilities == 0 {
        add("it has no capability");
    } else {
        let has = |bit: &u32| process.capabilities & (1 << bit) != 0;
        let names = OURS.iter().filter(|(bit, _)| has(bit)).map(|(_, it)| *it);
        let names: Vec<_> = names.collect();
        add(&format!("it has {}, to tell who asks", names.join(" and ")));
    }
    if !process.no_new_privileges {
        verdict = Verdict::Mind;
        add("it can gain rights from programs that it starts: give its unit NoNewPrivileges=yes");
    }
    (verdict, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tcredpin-proxy\nUid:\t999\t998\t999\t999\nNoNewPrivs:\t1\n\
                          CapInh:\t0000000000000000\nCapEff:\t0000000000080004\nSeccomp:\t2\n";

    #[test]
    fn what_the_kernel_tells_is_read() {
        let process = parse(STATUS, 0).unwrap();
        let as_it_should_be = Process {
            user: 998,
            capabilities: 1 << 19 | 1 << 2,
            no_new_privileges: true,
            owner: 0,
        };
        assert_eq!(process, as_it_should_be);
        assert_eq!(parse("Uid:\t1\t1\t1\t1\n", 0), None, "nothing is guessed");
        assert!(look(std::process::id()).is_some());
    }

    #[test]
    fn what_is_wrong_is_told_with_the_way_out() {
        let good = parse(STATUS, 0).unwrap();
        for (process, is, says) in [
            (
                good,
                Verdict::Good,
                "CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE, to",
            ),
            (
                Process {
                    capabilities: 0,
                    ..good
                },
                Verdict::Good,
                "process 7 cannot be dumped; it has no capability",
            ),
            (Process { owner: 998, ..good }, Verdict::Bad, "Restart it"),
            (
                Process { user: 0, ..good },
                Verdict::Mind,
                "a user of its own",
            ),
            (
                Process {
                    capabilities: 1 << 21,
                    ..good
                },
                Verdict::Mind,
                "for nothing",
            ),
            (
                Process {
                    no_new_privileges: false,
                    ..good
                },
                Verdict::Mind,
                "NoNewPrivileges=yes",
            ),
        ] {
            let (verdict, words) = judge(7, process);
            assert_eq!(verdict, is, "{words}");
            assert!(words.contains(says), "{words}");
        }
    }
}
