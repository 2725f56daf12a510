//! The maps' layout in words, from an object's BTF: every map with its kind and size, and every field of its key and
//! value with offset and type. One line a fact, so that a difference reads well.

use anyhow::{Context, Result, bail};
use ferrule_common::layout::MAPS;

use super::btf::{Member, Type, Types};

/// Every pinned map's layout, in the order of names.
///
/// # Errors
/// Where the object's BTF is not what aya's maps make of it.
pub fn of(types: &Types) -> Result<Vec<String>> {
    let mut maps = Vec::new();
    for var in &types.section(".maps")?.vars {
        let var = types.get(var.type_id)?;
        // What is not pinned goes with the programs that made it.
        if !MAPS.iter().any(|map| map.name == var.name) {
            continue;
        }
        maps.push((var.name.clone(), map(types, var).with_context(|| format!("map {}", var.name))?));
    }
    maps.sort();
    Ok(maps.into_iter().flat_map(|(_, lines)| lines).collect())
}

fn map(types: &Types, var: &Type) -> Result<Vec<String>> {
    let definition = types.get(var.type_id)?;
    let mut lines = vec![format!(
        "map {}: type {}, entries {}, flags {:#x}",
        var.name,
        number(types, definition, "type")?,
        number(types, definition, "max_entries")?,
        number(types, definition, "map_flags")?,
    )];
    for part in ["key", "value"] {
        let pointer = types.get(member(definition, part)?.type_id)?;
        let target = types.get(pointer.type_id)?;
        lines.push(format!("  {part} {}, {} bytes", name(types, target)?, size(types, target)?));
        fields(types, target, 0, "", &mut lines)?;
    }
    Ok(lines)
}

/// The lines of a struct's fields; a nested struct's are named with the field that holds it.
fn fields(types: &Types, found: &Type, offset: u32, path: &str, lines: &mut Vec<String>) -> Result<()> {
    for member in &found.members {
        let field = types.get(member.type_id)?;
        let (offset, path) = (offset + member.bits_offset / 8, format!("{path}{}", member.name));
        lines.push(format!("    {offset:>3} {path}: {}", name(types, field)?));
        if is_compound(field) {
            fields(types, field, offset, &format!("{path}."), lines)?;
        }
    }
    Ok(())
}

fn is_compound(found: &Type) -> bool {
    matches!(found.kind.as_str(), "STRUCT" | "UNION")
}

fn name(types: &Types, found: &Type) -> Result<String> {
    Ok(match found.kind.as_str() {
        "ARRAY" => format!("[{}; {}]", name(types, types.get(found.type_id)?)?, found.nr_elems),
        // Without the generics' arguments: BTF has no `<`, and how it writes them is the compiler's affair.
        _ => found.name.split("_3C_").next().unwrap_or_default().to_owned(),
    })
}

fn size(types: &Types, found: &Type) -> Result<u32> {
    Ok(match found.kind.as_str() {
        "ARRAY" => size(types, types.get(found.type_id)?)? * found.nr_elems,
        _ => found.size,
    })
}

/// A number of a map's definition: BTF holds it as the length of an array that the member points to.
fn number(types: &Types, definition: &Type, name: &str) -> Result<u32> {
    let pointer = types.get(member(definition, name)?.type_id)?;
    let array = types.get(pointer.type_id)?;
    if array.kind != "ARRAY" {
        bail!("{name} is a {} and not an array", array.kind);
    }
    Ok(array.nr_elems)
}

fn member<'a>(definition: &'a Type, name: &str) -> Result<&'a Member> {
    let found = definition.members.iter().find(|member| member.name == name);
    found.with_context(|| format!("its definition has no {name}"))
}
