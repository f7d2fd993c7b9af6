// The parts of a Kubernetes control plane that the suite `cluster` runs, and kubectl, as one program
// that looks at the name it is called by: they share most of their code.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "kubectl":
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
	case "port-forwarder":
		fmt.Fprintln(os.Stderr, forwardPorts(os.Args[1], networks(os.Args[2])))
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "no part of Kubernetes is called", name)
		os.Exit(2)
	}
}

// networks is a folder with a link to the network namespace of each pod, NAMESPACE.POD: the one part
// of a kubelet that `kubectl port-forward` needs.
type networks string

// forwardPorts answers /portForward/NAMESPACE/POD over HTTPS, as the API server asks it of a kubelet.
func forwardPorts(address string, folder networks) error {
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	handle := func(writer http.ResponseWriter, request *http.Request) {
		parts := strings.Split(request.URL.Path, "/")
		if len(parts) < 4 || parts[1] != "portForward" {
			http.NotFound(writer, request)
			return
		}
		portforward.ServePortForward(writer, request, folder, parts[2]+"."+parts[3], "", nil,
			time.Minute, 10*time.Second, portforward.SupportedProtocols)
	}
	server := http.Server{
		Addr: address, Handler: http.HandlerFunc(handle), TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		// the streams take a connection over, which HTTP/2 has no way to
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	return server.ListenAndServeTLS("", "")
}

// PortForward copies between a stream and a port of the pod's own loopback.
func (folder networks) PortForward(_ context.Context, name string, _ types.UID, port int32, stream io.ReadWriteCloser) error {
	type dialled struct {
		net.Conn
		error
	}
	done := make(chan dialled)
	go func() {
		// never unlocked: the thread that went elsewhere ends with this goroutine
		runtime.LockOSThread()
		place, err := unix.Open(filepath.Join(string(folder), name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(place, unix.CLONE_NEWNET)
			_ = unix.Close(place)
		}
		if err != nil {
			done <- dialled{nil, err}
			return
		}
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		done <- dialled{connection, err}
	}()
	pod := <-done
	if pod.error != nil {
		return pod.error
	}
	defer pod.Close()
	go func() {
		_, _ = io.Copy(pod, stream)
		_ = pod.Conn.(*net.TCPConn).CloseWrite()
	}()
	_, err := io.Copy(stream, pod)
	return err
}
