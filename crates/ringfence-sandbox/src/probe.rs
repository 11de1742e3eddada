//! What this kernel can enforce, found by trying.

use ringfence_core::LayerStatus;

use crate::world::trial;

/// What the tier `landlock` cannot hold by its nature, wherever it is started.
pub const LANDLOCK_TIER_LACKS: &[&str] = &[
    "names, sizes, owners and times of all files of the host can be seen, and watched for changes \
     (inotify), and what a link says can be read",
    "that processes and their numbers exist can be seen; what they are called and were started with \
     cannot",
    "files are not mounted: no private /tmp, /etc, caches or copies of git configurations; the home is a \
     directory of links to what is granted",
    "a program that is hidden in a granted tree, and may be executed, can be run by a thread that swaps \
     the path",
    "where a file system takes capital letters for small ones, a hidden or protected place is open by \
     its other spelling",
    "no UDP, raw and netlink sockets, no listening, no abstract sockets: programs that look names up by \
     UDP alone (musl, Go without cgo) need the proxy variables",
    "no shared memory and semaphores by name, no terminals of one's own (tmux, script), nothing of one's own \
     in /proc/self",
    "a unix socket that was bound inside is decided like one of the host's",
    "the limit of processes is a control group's or looked at, never the kernel's own",
];

/// What passes the tier `preload` by, wherever it is started.
pub const PRELOAD_TIER_LACKS: &[&str] = &[
    "static programs, and programs that make system calls without libc (Go, rustix, hand-written ones), are \
     neither decided nor recorded; a program can also unload or overwrite the library in its own memory",
    "what libc does inside itself: looking up names (the host's name servers are asked), locales, users \
     and shared libraries (`dlopen`), terminals, `glob`, `ftw`, `wordexp` and shared memory by name",
    "what is known of files without opening them: names, sizes and links can be read, directories \
     entered and watched",
    "programs of another libc (musl) and of another architecture cannot load the library: they do not \
     start, or run without it",
    "processes can be signalled, traced and read by others of the same user, the world's own \
     supervisor among them; who kills it, and has never asked, outlives the world",
    "a file that is opened is the process's own: no kernel rule bounds what else it opens; \
     namespaces can be made inside where the kernel lets anybody",
    "as in the tier `landlock`: no grants while it runs, no review, no published ports, no private /tmp and \
     /etc, no UDP, raw and netlink sockets and no listening for programs that ask",
];

/// What passes the tier `ptrace` by, wherever it is started.
pub const PTRACE_TIER_LACKS: &[&str] = &[
    "a path or an argument that another thread changes after its call was decided: files are opened and \
     programs started by the kernel, which reads them again; what is made, moved or removed, and \
     connections, are carried out by the broker on its own copy",
    "processes of the same user can be signalled from inside, the world's own tracer among them: when \
     that ends, all of the world end",
    "each call that is asked about stops and waits: a program that opens many files takes several times \
     as long",
    "as in the tier `landlock`: what is known of files without opening them, no grants while it runs, no \
     review, no published ports, no private /tmp and /etc, no UDP, raw and netlink sockets, no \
     listening, no debuggers inside",
];

/// Tries what the tier `ptrace` needs, in the same way.
pub fn ptrace_tier() -> Vec<LayerStatus> {
    trial::ptrace_tier()
}

/// Tries the layers of the tier `landlock` in the same way.
pub fn landlock_tier() -> Vec<LayerStatus> {
    trial::landlock_tier()
}

/// Tries each layer in a process of its own and says what happened, and what to do about it.
///
/// Must be called while the process has one thread: it forks.
pub fn probe() -> Vec<LayerStatus> {
    trial::layers()
}
