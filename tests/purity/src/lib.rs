//! A program without std that uses the machine.
#![no_std]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use podwait_core::{Input, Instant, WaitMachine};

struct NoMemory;

// SAFETY: an allocator may always return no memory.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Links the machine in.
#[unsafe(no_mangle)]
pub extern "C" fn podwait_purity(at: u64) -> bool {
    let mut machine = WaitMachine::new(alloc::sync::Arc::default());
    machine.handle(Instant::from_millis(at), Input::Tick).is_final()
}
