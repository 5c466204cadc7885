//! What an application is called, by the name of its image.

use crate::image_defaults;

/// Words at the end of an image's name that say which part of an application it is.
const PARTS: [&str; 16] = [
    "server", "web", "webapp", "webui", "app", "ui", "frontend", "client", "core", "docker", "aio", "oss", "ce", "ee",
    "image", "main",
];

/// Images that any application may run in: their names say nothing about it.
const BASES: [&str; 24] = [
    "alpine",
    "apache",
    "bun",
    "busybox",
    "caddy",
    "debian",
    "deno",
    "golang",
    "httpd",
    "lighttpd",
    "nginx",
    "nginx-unprivileged",
    "node",
    "openjdk",
    "openresty",
    "php",
    "python",
    "ruby",
    "rust",
    "static-web-server",
    "tomcat",
    "ubuntu",
    "whoami",
    "wolfi-base",
];

/// The name of an application by its image: the last part of the image's name without the words for parts of it, or the part
/// before where it consists of such words. None for an image that any application may run in.
pub(crate) fn name_of_image(image: &str) -> Option<String> {
    const CHARS_MAX: usize = 40;
    let mut parts = image_defaults::name(image)?.rsplit('/');
    let words = parts.find_map(|part| {
        let mut words: Vec<&str> = part.split(['-', '_']).filter(|word| !word.is_empty()).collect();
        while words.last().is_some_and(|last| PARTS.contains(last)) {
            words.pop();
        }
        (!words.is_empty()).then_some(words)
    })?;
    if BASES.contains(&&*words.join("-")) {
        return None;
    }
    let capitalised = words.iter().map(|word| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
    });
    let name = capitalised.collect::<Vec<_>>().join(" ");
    (name.chars().count() <= CHARS_MAX).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_called_by_its_image() {
        for (image, name) in [
            ("ghcr.io/immich-app/immich-server:v1", "Immich"),
            ("vaultwarden/server:latest", "Vaultwarden"),
            ("louislam/uptime-kuma:1", "Uptime Kuma"),
            ("lscr.io/linuxserver/sonarr@sha256:0123456789abcdef", "Sonarr"),
            ("actualbudget/actual-server", "Actual"),
            ("grafana/grafana-oss", "Grafana"),
            ("nextcloud:apache", "Nextcloud"),
            ("shop-web", "Shop"),
            ("registry.example:5000/own/app", "Own"),
        ] {
            assert_eq!(name_of_image(image).as_deref(), Some(name), "{image}");
        }
        let long = format!("a/{}", "x".repeat(60));
        for image in
            ["nginx:alpine", "node:22", "nginxinc/nginx-unprivileged", "sha256:0123456789abcdef", "", "server", &long]
        {
            assert_eq!(name_of_image(image), None, "{image}");
        }
    }
}
