package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// reservePort finds a free port of 127.0.0.1 and reserves it for a component as
// long as the file is open. The socket is bound but never listens. So the
// component can bind the port too, also after a restart, and while the
// component is down a client is refused, as by a dead server.
func reservePort() (port int, hold *os.File, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socket", err)
	}
	hold = os.NewFile(uintptr(fd), "reserved port")
	// On Linux two sockets can have one port if both set this option and neither
	// listens when the second one binds. Go's listeners always set it.
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	var address unix.Sockaddr
	if err == nil {
		address, err = unix.Getsockname(fd)
	}
	if err != nil {
		hold.Close()
		return 0, nil, os.NewSyscallError("bind", err)
	}
	return address.(*unix.SockaddrInet4).Port, hold, nil
}
