//! A VFS of SQLite around the system's own: it hands every call on, and tells a [`Tracer`] of those that change the
//! disk. Syncs are noted and not made: what a power loss leaves is computed from the notes, and the folder stands in
//! memory anyway. (The trace's VFS is never unregistered, nor freed: a few hundred bytes for each in a test's process.)

#![expect(unsafe_code, reason = "SQLite calls a VFS through a table of C functions, with pointers to its own memory")]

use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int, c_void};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::ffi::{
    SQLITE_CANTOPEN, SQLITE_IOERR_FSYNC, SQLITE_OK, SQLITE_OPEN_CREATE, SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_WAL,
    sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
    sqlite3_vfs_register,
};

use crate::trace::FileId;
use crate::tracer::{Op, Tracer};

/// An open file. The system's own stands in memory behind it (SQLite aligns both to 8 bytes).
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// Lives as long as the process, as its VFS does.
    tracer: &'static Tracer,
    /// None for one that is not noted.
    id: Option<FileId>,
    /// The next sync is the folder's too: the system's VFS does that with a journal or log that it may have made.
    syncs_folder: bool,
    /// Failed syncs of this file that this handle knows of: each handle is told of each, as Linux does since 4.13.
    failures: u64,
}

/// What a VFS of ours carries.
struct Carried {
    real: *mut sqlite3_vfs,
    tracer: Arc<Tracer>,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Without pages of the file in memory: what is written there nobody notes.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Registers a VFS that tells this tracer; its name, for `Options::vfs`.
///
/// # Panics
/// SQLite has no VFS of the system's, or no memory.
#[must_use]
pub fn register(tracer: &Arc<Tracer>) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("traced-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let c_name = CString::new(name.clone()).unwrap_or_default();
    // SAFETY: the name is a C string, and null asks for the default VFS, which lives as long as the process.
    let real = unsafe { sqlite3_vfs_find(c"unix".as_ptr()) };
    assert!(!real.is_null(), "SQLite has no VFS of the system's");
    // SAFETY: `real` is SQLite's own table, which nothing changes.
    let mut vfs = unsafe { *real };
    let own = c_int::try_from(size_of::<File>()).unwrap_or(c_int::MAX);
    vfs.szOsFile += own;
    vfs.pNext = std::ptr::null_mut();
    vfs.zName = c_name.into_raw();
    vfs.pAppData = Box::into_raw(Box::new(Carried { real, tracer: tracer.clone() })).cast();
    // All others are the system's own functions, which do not look at the table they are called through.
    vfs.xOpen = Some(open);
    vfs.xDelete = Some(delete);
    // SAFETY: the table is whole, and is never freed.
    let code = unsafe { sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) };
    assert_eq!(code, SQLITE_OK, "the VFS was not registered");
    name
}

/// # Safety
/// `vfs` is one that [`register`] has made.
unsafe fn carried(vfs: *mut sqlite3_vfs) -> &'static Carried {
    // SAFETY: `pAppData` was set by `register`, and is never freed.
    unsafe { &*(*vfs).pAppData.cast::<Carried>() }
}

/// # Safety
/// `file` was opened by [`open`], and is not closed.
unsafe fn own<'a>(file: *mut sqlite3_file) -> &'a mut File {
    // SAFETY: `open` has written a `File` there; SQLite uses a file in one thread at a time.
    unsafe { &mut *file.cast::<File>() }
}

/// The system's file, and its methods.
///
/// # Safety
/// `file` is memory of `szOsFile` bytes; to use the methods it has to be open.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` has room for both.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// A file's last name.
///
/// # Safety
/// `path` is a C string, or null.
unsafe fn last_name(path: *const c_char) -> Option<String> {
    if path.is_null() {
        return None;
    }
    // SAFETY: it is a C string, as the caller promises.
    let path = unsafe { CStr::from_ptr(path) }.to_str().ok()?;
    Some(Path::new(path).file_name()?.to_str()?.to_owned())
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    path: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls with a VFS of ours, memory of `szOsFile` bytes, and a path that is null or a C string that
    // outlives the file.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let Carried { real: system, tracer } = carried(vfs);
        let Some(open) = (**system).xOpen else { return SQLITE_CANTOPEN };
        let code = open(*system, path, real(file), flags, out);
        if code != SQLITE_OK {
            return code;
        }
        let id = last_name(path).filter(|name| Tracer::is_noted(name)).map(|name| tracer.opened(&name));
        let journal = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL) != 0;
        file.cast::<File>().write(File {
            base: sqlite3_file { pMethods: &raw const METHODS },
            tracer,
            id,
            syncs_folder: journal && flags & SQLITE_OPEN_CREATE != 0,
            failures: id.map_or(0, |id| tracer.failures(id)),
        });
    }
    SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, path: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite calls with a VFS of ours and a C string.
    unsafe {
        let Carried { real: system, tracer } = carried(vfs);
        let code = (**system).xDelete.map_or(SQLITE_CANTOPEN, |delete| delete(*system, path, 0));
        if let Some(name) = last_name(path).filter(|name| code == SQLITE_OK && Tracer::is_noted(name)) {
            tracer.removed(&name, sync != 0);
        }
        code
    }
}

/// Hands a call on to the system's file.
macro_rules! hand_on {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let real = real($file);
        match (*(*real).pMethods).$method {
            Some(method) => method(real $(, $argument)*),
            None => SQLITE_OK,
        }
    }};
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, amount: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls with an open file of ours; so in all that follow.
    unsafe {
        let own = own(file);
        match own.id.and_then(|_| own.tracer.fails(Op::Read)) {
            Some(code) => code,
            None => hand_on!(file, xRead, to, amount, at),
        }
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, amount: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: an open file of ours, and `amount` bytes at `from`.
    unsafe {
        let own = own(file);
        let Some(id) = own.id else { return hand_on!(file, xWrite, from, amount, at) };
        let failure = own.tracer.fails(Op::Write);
        let amount = if failure.is_some() { amount / 2 } else { amount };
        let bytes = std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(amount).unwrap_or(0));
        let place = usize::try_from(at).unwrap_or(0);
        let code = own.tracer.write(id, place, bytes, || hand_on!(file, xWrite, from, amount, at));
        failure.unwrap_or(code)
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: an open file of ours.
    unsafe {
        let own = own(file);
        let Some(id) = own.id else { return hand_on!(file, xTruncate, size) };
        match own.tracer.fails(Op::Truncate) {
            Some(code) => code,
            None => {
                let bytes = usize::try_from(size).unwrap_or(0);
                own.tracer.truncate(id, bytes, || hand_on!(file, xTruncate, size))
            }
        }
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe {
        let own = own(file);
        let Some(id) = own.id else { return hand_on!(file, xSync, flags) };
        let before = own.tracer.position();
        if let Some(code) = own.tracer.fails(Op::Sync) {
            own.failures = own.tracer.not_synced(id, before);
            return code;
        }
        let failures = own.tracer.failures(id);
        if std::mem::replace(&mut own.failures, failures) != failures {
            return SQLITE_IOERR_FSYNC;
        }
        own.tracer.synced(id, before, std::mem::take(&mut own.syncs_folder));
        SQLITE_OK
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xClose) }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xFileSize, size) }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xLock, level) }
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xUnlock, level) }
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xCheckReservedLock, out) }
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xFileControl, op, argument) }
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xSectorSize) }
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xDeviceCharacteristics) }
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xShmMap, page, size, extend, out) }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xShmLock, offset, count, flags) }
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: an open file of ours.
    unsafe {
        let real = real(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, remove: c_int) -> c_int {
    // SAFETY: an open file of ours.
    unsafe { hand_on!(file, xShmUnmap, remove) }
}
