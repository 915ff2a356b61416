/* vhciattach HOST PORT VHCIPORT: plugs a USB device that speaks USB/IP at HOST:PORT into the guest's virtual USB bus: connects
   and hands the socket to vhci_hcd, which from then on has a high-speed device at VHCIPORT. The handshake of usbip(8), by
   which a server tells its devices, is left out. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 4) return fputs("usage: vhciattach HOST PORT VHCIPORT\n", stderr), 2;
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(atoi(argv[2])), .sin_addr.s_addr = inet_addr(argv[1])};
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (connect(s, (struct sockaddr *)&address, sizeof address)) return perror("connect"), 1;
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);

  /* "PORT SOCKET DEVICE SPEED", as the kernel's Documentation/ABI/testing/sysfs-platform-usbip-vudc and usbip(8) write it. */
  enum { DEVICE = 1 << 16 | 2, HIGH_SPEED = 3 };
  char line[64];
  int length = snprintf(line, sizeof line, "%d %d %d %d", atoi(argv[3]), s, DEVICE, HIGH_SPEED);
  int attach = open("/sys/devices/platform/vhci_hcd.0/attach", O_WRONLY);
  if (attach < 0 || write(attach, line, length) != length) return perror("attach"), 1;
  return 0;
}
