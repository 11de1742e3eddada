"""TLS in front of a server on loopback: CERTIFICATE KEY PORT; says its own port."""
import socket, socketserver, ssl, sys, threading

certificate, key, port = sys.argv[1:4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


class Front(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            client = context.wrap_socket(self.request, server_side=True)
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", int(port)))
        back = threading.Thread(target=copy, args=(server, client), daemon=True)
        back.start()
        copy(client, server)
        back.join()


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Front)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
