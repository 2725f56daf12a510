#![no_std] //!x
