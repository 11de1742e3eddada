//! Whether one process descends from another, while those between them come and go.

use super::super::tracee;

/// Longest way up to the process above the world, in processes.
const ABOVE_MAX: usize = 4096;
/// How often the way up is looked at until it is the same twice.
const LOOKS_MAX: usize = 16;

/// The processes on the way up from one.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// To the other: these.
    Up(Vec<i32>),
    /// Past it.
    Past,
    /// One of them has ended meanwhile.
    Lost,
}

/// Whether a process descends from another. The way up is to be the same twice, for a number on it may be given to
/// another process meanwhile. Whoever is orphaned while it is looked at has another way than before: that is looked
/// at again.
pub(crate) fn descends(pid: i32, above: i32) -> bool {
    by(|pid| tracee::parent(pid, None), (pid, above))
}

fn by(mut parent: impl FnMut(i32) -> Option<i32>, (pid, above): (i32, i32)) -> bool {
    let mut before = Way::Lost;
    for _ in 0..LOOKS_MAX {
        match way(&mut parent, (pid, above)) {
            Way::Past => return false,
            up @ Way::Up(_) if up == before => return true,
            other @ (Way::Up(_) | Way::Lost) => before = other,
        }
    }
    false
}

fn way(parent: &mut impl FnMut(i32) -> Option<i32>, (mut pid, above): (i32, i32)) -> Way {
    let mut way = Vec::new();
    while pid != above {
        if pid <= 1 || way.len() == ABOVE_MAX {
            return Way::Past;
        }
        way.push(pid);
        let Some(next) = parent(pid) else { return Way::Lost };
        pid = next;
    }
    Way::Up(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether 9 descends from 2, where the parents that are asked for one after the other are these.
    fn finds(parents: &[Option<i32>]) -> bool {
        let mut next = parents.iter();
        let found = by(|_| *next.next().unwrap(), (9, 2));
        assert_eq!(next.next(), None, "all of it is looked at");
        found
    }

    #[test]
    fn who_has_the_same_way_up_twice_descends() {
        assert!(finds(&[Some(5), Some(2), Some(5), Some(2)]));
    }

    #[test]
    fn who_is_orphaned_while_it_is_looked_at_still_descends() {
        assert!(finds(&[Some(5), Some(2), Some(2), Some(2)]));
        assert!(finds(&[Some(5), None, Some(2), Some(2)]));
        assert!(finds(&[Some(5), Some(2), Some(5), None, Some(2), Some(2)]));
    }

    #[test]
    fn who_descends_from_another_does_not_whatever_it_seemed_before() {
        assert!(!finds(&[Some(5), Some(1)]));
        assert!(!finds(&[Some(5), Some(2), Some(5), Some(1)]));
        assert!(!finds(&[Some(5), None, Some(1)]));
        assert!(!finds(&[Some(0)]));
    }

    #[test]
    fn a_way_that_is_never_the_same_twice_is_none() {
        let ways = [[Some(5), Some(2)], [Some(6), Some(2)]].into_iter().cycle();
        let all: Vec<_> = ways.take(LOOKS_MAX).flatten().collect();
        assert!(!finds(&all));
        assert!(!finds(&[None; LOOKS_MAX]));
    }
}
