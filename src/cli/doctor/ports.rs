//! Whether the server can be published where the configuration says.

use std::net::{IpAddr, SocketAddr};

use super::{Finding, Known};
use crate::host::ports::{self, Owner};
use crate::model::Root;
use crate::stack::SLICE;

pub(super) fn listen(root: &Root, known: &Known) -> Finding {
    let Ok(loaded) = &known.loaded else { return Finding::unknown("the configuration has mistakes") };
    let listen = loaded.settings.immich.listen;
    let taken = ports::listeners(root).into_iter().find(|it| it.is_in_the_way_of(listen.ip(), listen.port()));
    let place = taken.map_or(Place::Free, |taken| Place::Taken(taken.owner(root)));
    judge(listen, place, &ports::addresses())
}

enum Place {
    Free,
    /// By whom, if that may be seen.
    Taken(Option<Owner>),
}

fn judge(listen: SocketAddr, place: Place, addresses: &[IpAddr]) -> Finding {
    match place {
        Place::Taken(Some(owner)) if owner.group.contains(SLICE) => Finding::holds(format!("{listen} is the server's")),
        Place::Taken(Some(owner)) => Finding::fails(
            format!("{} (process {}) has {listen}, and the server would not start", owner.program, owner.pid),
            format!("see what it is: systemctl status {}; stop it, or name another port in immich.listen", owner.pid),
        ),
        Place::Taken(None) => Finding::fails_for_root(
            format!("somebody has {listen}, and the server would not start"),
            format!("ss -ltnp 'sport = :{}'; stop it, or name another port in immich.listen", listen.port()),
        ),
        Place::Free if !listen.ip().is_unspecified() && !addresses.is_empty() && !addresses.contains(&listen.ip()) => {
            Finding::fails(
                format!("no interface of this host has {}, and the server would not start", listen.ip()),
                "ip -brief address; name one of those in immich.listen, or 0.0.0.0 for all",
            )
        }
        Place::Free => Finding::holds(format!("{listen} is free")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_ours_or_somebodys() {
        let listen: SocketAddr = "192.168.1.10:2283".parse().unwrap();
        let here = [listen.ip(), "127.0.0.1".parse().unwrap()];
        let owner =
            |group: &str| Place::Taken(Some(Owner { pid: 7, program: "nginx".to_owned(), group: group.to_owned() }));
        assert!(matches!(judge(listen, Place::Free, &here), Finding::Holds { detail } if detail.contains("free")));
        let ours = owner("0::/photos.slice/immich-server.service");
        assert!(matches!(judge(listen, ours, &here), Finding::Holds { detail } if detail.contains("the server's")));
        let theirs = judge(listen, owner("0::/system.slice/nginx.service"), &here);
        assert!(matches!(theirs, Finding::Fails { why, remedy }
            if why.contains("nginx (process 7)") && remedy.contains("systemctl status 7")));
        assert!(!matches!(judge(listen, Place::Taken(None), &here), Finding::Holds { .. }));
    }

    #[test]
    fn an_address_that_no_interface_has_is_found_and_all_addresses_are_one() {
        let here = ["127.0.0.1".parse().unwrap()];
        let judge = |listen: &str| judge(listen.parse().unwrap(), Place::Free, &here);
        assert!(matches!(judge("192.168.1.10:2283"), Finding::Fails { why, .. } if why.contains("no interface")));
        assert!(matches!(judge("0.0.0.0:2283"), Finding::Holds { .. }));
        assert!(matches!(judge("127.0.0.1:2283"), Finding::Holds { .. }));
    }
}
