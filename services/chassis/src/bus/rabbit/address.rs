//! The address of a RabbitMQ: one URL, which may name several nodes of a cluster.
//!
//! As in a URL of PostgreSQL, the nodes are separated by commas: `amqp://user:password@h1,h2:5673/vhost`. All else is the
//! same for each.

use lapin::uri::AMQPUri;

/// The seconds between two heartbeats, unless the URL says another number (`?heartbeat=30`). A machine that dies says
/// nothing: it is noticed after two of them. RabbitMQ's own proposal is a minute.
const HEARTBEAT_SECONDS: u16 = 10;

/// The nodes that the URL of a RabbitMQ names, in its order.
pub fn nodes(url: &str) -> Result<Vec<AMQPUri>, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let (user, hosts) = authority.rfind('@').map_or(("", authority), |at| authority.split_at(at + 1));
    let node = |host: &str| {
        let mut uri: AMQPUri = format!("{scheme}://{user}{host}{path}").parse()?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(uri)
    };
    hosts.split(',').map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(url: &str) -> Vec<String> {
        let nodes = nodes(url).expect("it is a good URL");
        nodes.iter().map(|node| format!("{}:{}", node.authority.host, node.authority.port)).collect()
    }

    #[test]
    fn a_url_may_name_several_nodes() {
        assert_eq!(addresses("amqp://h1,h2:5673,h3/%2f"), ["h1:5672", "h2:5673", "h3:5672"]);
        assert_eq!(addresses("amqps://me:p%2Cw@h1,h2/shop?heartbeat=30"), ["h1:5671", "h2:5671"]);
        assert_eq!(addresses("amqp://h1"), ["h1:5672"]);
    }

    #[test]
    fn all_nodes_have_the_user_the_virtual_host_and_the_parameters_of_the_url() {
        for node in nodes("amqps://me:p%2Cw@h1,h2/shop?heartbeat=30").expect("it is a good URL") {
            let user = &node.authority.userinfo;
            assert_eq!((&*user.username, &*user.password), ("me", "p,w"));
            assert_eq!((&*node.vhost, node.query.heartbeat), ("shop", Some(30)));
        }
    }

    #[test]
    fn a_node_that_says_nothing_is_noticed_soon() {
        let nodes = nodes("amqp://h1,h2").expect("it is a good URL");
        assert!(nodes.iter().all(|node| node.query.heartbeat == Some(HEARTBEAT_SECONDS)));
    }

    #[test]
    fn an_error_has_no_password() {
        let error = nodes("amqp://me:secret@h1:port,h2").expect_err("there is no such port");
        assert!(!error.contains("secret"), "{error}");
    }
}
