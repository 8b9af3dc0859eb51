// Large bodies to requests that are refused by their heads, with Go's net/http: the client of docker and containerd.
//
// Usage: early_answer BASE ROUNDS METHOD,TARGET,CONTENT_RANGE,STATUS...
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const bodyBytes = 60 << 20

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func exchange(client *http.Client, request *http.Request, want int) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("body of the answer: %w", err)
	}
	if response.StatusCode != want {
		return fmt.Errorf("%s %s: status %d, not %d", request.Method, request.URL, response.StatusCode, want)
	}
	return nil
}

func round(client *http.Client, base, spec string) error {
	parts := strings.Split(spec, ",")
	want, err := strconv.Atoi(parts[3])
	if err != nil {
		return err
	}
	request, err := http.NewRequest(parts[0], base+parts[1], io.LimitReader(zeros{}, bodyBytes))
	if err != nil {
		return err
	}
	request.ContentLength = bodyBytes
	if parts[2] != "" {
		request.Header.Set("Content-Range", parts[2])
	}
	if err := exchange(client, request, want); err != nil {
		return err
	}
	next, err := http.NewRequest("GET", base+"/v2/", nil)
	if err != nil {
		return err
	}
	return exchange(client, next, 200)
}

func main() {
	base := os.Args[1]
	rounds, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	client := &http.Client{Timeout: 20 * time.Second}
	failed := 0
	for i := range rounds {
		spec := os.Args[3+i%(len(os.Args)-3)]
		if err := round(client, base, spec); err != nil {
			failed++
			fmt.Printf("round %d, %s: %v\n", i, spec, err)
		}
	}
	fmt.Printf("%d of %d rounds failed\n", failed, rounds)
	if failed > 0 {
		os.Exit(1)
	}
}
