//! The stack's unused memory.

use std::ops::Range;

/// What is left below the caller's frame: the red zone, and the frames of the calls made here.
const MARGIN: usize = 1024;

/// Gives the part of the main thread's stack that is not in use back to the kernel, which keeps
/// every page that was ever touched otherwise. For a process that has done its one deep piece of
/// work and will now wait for days. On another thread it does nothing.
pub fn give_back() {
    let marker = 0_u8;
    let here = std::ptr::from_ref(std::hint::black_box(&marker)).addr();
    let Some(stack) = main_stack().filter(|stack| stack.contains(&here)) else {
        return;
    };
    // SAFETY: it asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let Some(page) = usize::try_from(page).ok().filter(|page| *page > 0) else {
        return;
    };
    let end = here.saturating_sub(MARGIN) / page * page;
    if end <= stack.start {
        return;
    }
    let bottom = std::ptr::with_exposed_provenance_mut::<libc::c_void>(stack.start);
    // SAFETY: a stack grows downwards, and we are on this one: from its bottom to well below our
    // own frame there is nothing alive. Pages that are touched again come as zeros, and nobody may
    // rely on what is in a new frame.
    unsafe {
        libc::madvise(bottom, end - stack.start, libc::MADV_DONTNEED);
    }
}

/// Where the main thread's stack is now. Read from the kernel: a guess that is wrong would wipe out
/// somebody's data.
fn main_stack() -> Option<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[stack]"))?;
    let (range, _) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some(number(start)?..number(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn deep(levels: usize) -> usize {
        let frame = std::hint::black_box([levels; 512]);
        match levels {
            0 => frame[0],
            _ => deep(levels - 1) + std::hint::black_box(frame)[511],
        }
    }

    #[test]
    fn what_is_alive_stays() {
        let kept = std::hint::black_box([7_usize; 4096]);
        let before = deep(50);
        give_back();
        assert_eq!((deep(50), kept), (before, [7; 4096]));
    }
}
