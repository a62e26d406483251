//! Who listens on a port of this host, read from /proc: nothing is opened to try it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::model::Root;

/// A socket that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// At this address of the host; the unspecified one is all of them.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    inode: u64,
}

/// The process that has a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its number.
    pub pid: u32,
    /// What it runs, as the kernel calls it.
    pub program: String,
    /// Its control group.
    pub group: String,
}

/// All sockets that listen for TCP.
pub fn listeners(root: &Root) -> Vec<Listener> {
    let read = |name: &str| fs::read_to_string(root.join(Path::new("/proc/net").join(name))).unwrap_or_default();
    [read("tcp"), read("tcp6")].iter().flat_map(|table| table.lines().filter_map(listener)).collect()
}

/// The addresses of this host; none where the kernel does not tell.
pub fn addresses() -> Vec<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|interface| interface.address);
    let address = |found: nix::sys::socket::SockaddrStorage| {
        let v4 = found.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| found.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    interfaces.filter_map(address).collect()
}

impl Listener {
    /// Whether nobody else can listen at this address and port while this socket does.
    pub fn is_in_the_way_of(&self, address: IpAddr, port: u16) -> bool {
        // A socket for all addresses of version 6 usually takes those of version 4 as well.
        self.port == port && (self.address == address || self.address.is_unspecified() || address.is_unspecified())
    }

    /// Whoever has it; none where that may not be seen.
    pub fn owner(&self, root: &Root) -> Option<Owner> {
        let socket = format!("socket:[{}]", self.inode);
        for process in fs::read_dir(root.join("/proc")).ok()?.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(mut files) = fs::read_dir(process.path().join("fd")) else { continue };
            if files
                .any(|file| file.is_ok_and(|file| fs::read_link(file.path()).is_ok_and(|to| to == Path::new(&socket))))
            {
                let read = |name: &str| fs::read_to_string(process.path().join(name)).unwrap_or_default();
                return Some(Owner { pid, program: read("comm").trim().to_owned(), group: read("cgroup") });
            }
        }
        None
    }
}

/// A line of `proc_pid_net`(5) `tcp` or `tcp6`, if it is of a socket that listens (state 0A).
fn listener(line: &str) -> Option<Listener> {
    let mut words = line.split_whitespace().skip(1);
    let (local, state) = (words.next()?, words.nth(1)?);
    let inode = words.nth(5)?.parse().ok()?;
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == "0A").then_some(Listener { address: address_of(address)?, port, inode })
}

/// Words of 32 bits in the order of this machine, the bytes of each in that of the network.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes: [u8; 16] = [word(0)?, word(1)?, word(2)?, word(3)?].concat().try_into().ok()?;
            let address = Ipv6Addr::from(bytes);
            Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_those_in_state_0a() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
               0: 0100007F:08EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
               1: 0100007F:08EC 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1\n\
               2: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4713 1 0 100 0 0 10 0\n\
               3: 0000000000000000FFFF00000100007F:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4714 1 0 100 0 0 10 0\n\
               torn";
        let found: Vec<_> = table.lines().filter_map(listener).map(|l| (l.address, l.port, l.inode)).collect();
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        assert_eq!(found, [(localhost, 2283, 4711), (any, 8080, 4713), (localhost, 8081, 4714)]);
    }

    #[test]
    fn one_for_all_addresses_is_in_the_way_of_each_and_each_of_one_for_all() {
        let on = |address: &str| Listener { address: address.parse().unwrap(), port: 80, inode: 1 };
        let blocks = |theirs: &str, ours: &str, port| on(theirs).is_in_the_way_of(ours.parse().unwrap(), port);
        assert!(blocks("127.0.0.1", "127.0.0.1", 80) && blocks("0.0.0.0", "127.0.0.1", 80));
        assert!(blocks("127.0.0.1", "0.0.0.0", 80) && blocks("::", "127.0.0.1", 80));
        assert!(!blocks("127.0.0.1", "127.0.0.1", 81) && !blocks("192.168.1.2", "127.0.0.1", 80));
    }

    #[test]
    fn a_socket_of_this_process_is_seen_and_known_for_its_own() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let root = Root::default();
        let found = listeners(&root).into_iter().find(|it| it.is_in_the_way_of(address.ip(), address.port())).unwrap();
        assert_eq!(found.owner(&root).map(|owner| owner.pid), Some(std::process::id()));
        assert!(addresses().contains(&address.ip()));
    }
}
