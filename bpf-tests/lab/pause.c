/* The first process of a test's machine and of each of its pods: static, so that an image of it needs nothing else.
 *
 *   pause init   a machine: collects orphans; ends when its stdin does, so that no machine outlives the test
 *   pause        a pod: collects orphans, and tells each TCP client on port 8080 the address that it comes from
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(int signal) { _exit(0); }

static int serve(void) {
    int off = 0, on = 1, listener = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(8080), .sin6_addr = in6addr_any};
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 128)) {
        perror("pause: port 8080");
        return 1;
    }
    for (;;) {
        struct sockaddr_in6 peer;
        socklen_t size = sizeof peer;
        char text[INET6_ADDRSTRLEN];
        int client = accept(listener, (struct sockaddr *)&peer, &size);
        if (client < 0) continue;
        inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text);
        send(client, text, strlen(text), MSG_NOSIGNAL);
        close(client);
    }
}

int main(int count, char **arguments) {
    char byte;
    signal(SIGCHLD, SIG_IGN); /* the kernel then collects what is re-parented to us */
    if (count > 1 && !strcmp(arguments[1], "init")) {
        while (read(0, &byte, 1) > 0) {}
        return 0;
    }
    signal(SIGTERM, end);
    signal(SIGINT, end);
    return serve();
}
