//! The operator's keys are not inherited: the kernel hands a session keyring on across fork and exec, through every
//! namespace.

/// Gives the calling process a session keyring of its own, empty. Called between fork and exec: one system call.
///
/// A kernel without keyrings, or a filter of system calls that forbids them, leaves nothing to inherit; whether there is
/// something, the probe asks from inside.
pub(super) fn leave_behind() {
    /// `KEYCTL_JOIN_SESSION_KEYRING` of keyctl(2), which rustix has no call for.
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: keyctl with this operation reads at most the name, for which null means a new keyring without one.
    unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        );
    }
}
