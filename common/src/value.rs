//! How a map's value is declared.

/// Declares a map's value: `repr(C)`, its fields as they stand here. With the feature `other-layout` they stand the other way
/// round, which no size tells: only the layout's version keeps an agent from reading them wrongly.
macro_rules! value {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])+ pub $field:ident: $type:ty,)+ }) => {
        #[cfg(not(feature = "other-layout"))]
        value! { @struct [$(#[$meta])*] $name [$($(#[$doc])+ pub $field: $type,)+] }
        #[cfg(feature = "other-layout")]
        value! { @struct [$(#[$meta])*] $name [] $([$(#[$doc])+ pub $field: $type,])+ }
    };
    (@struct [$($meta:tt)*] $name:ident [$($fields:tt)*]) => {
        $($meta)*
        #[repr(C)]
        pub struct $name { $($fields)* }
    };
    (@struct [$($meta:tt)*] $name:ident [$($fields:tt)*] [$($next:tt)*] $($rest:tt)*) => {
        value! { @struct [$($meta)*] $name [$($next)* $($fields)*] $($rest)* }
    };
}
