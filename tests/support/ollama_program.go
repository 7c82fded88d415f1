// The client side of Ollama's own program, for ollama_recorder.py.
//
// Put it into a copy of the module github.com/ollama/ollama v0.12.6, as main2/main.go. cmd/cmd.go
// imports the server and the runner, which need C++: take these two imports out, and what uses
// them. Then: CGO_ENABLED=0 go build -mod=mod -o ollama-client ./main2
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/cmd"
)

// What the program sends from a terminal alone, by its own client.
func ask(what string) error {
	client, err := api.ClientFromEnvironment()
	if err != nil {
		return err
	}
	ctx := context.Background()
	switch what {
	case "api-chat":
		hello := []api.Message{{Role: "user", Content: "Hello"}}
		return client.Chat(ctx, &api.ChatRequest{Model: "tiny", Messages: hello,
			Options: map[string]any{"num_predict": 4, "num_ctx": 512}},
			func(said api.ChatResponse) error { fmt.Print(said.Message.Content); return nil })
	case "api-embed":
		said, err := client.Embed(ctx, &api.EmbedRequest{Model: "embedder", Input: []string{"a", "b"}, Dimensions: 8})
		if err == nil {
			fmt.Println(len(said.Embeddings), len(said.Embeddings[0]))
		}
		return err
	case "api-embeddings":
		said, err := client.Embeddings(ctx, &api.EmbeddingRequest{Model: "embedder", Prompt: "a"})
		if err == nil {
			fmt.Println(len(said.Embedding))
		}
		return err
	case "api-version":
		said, err := client.Version(ctx)
		fmt.Println(said)
		return err
	}
	return cmd.NewCLI().ExecuteContext(ctx)
}

func main() {
	what := ""
	if len(os.Args) > 1 {
		what = os.Args[1]
	}
	if err := ask(what); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
