package web

import (
	"context"
	"net/http"
)

// Forget has the porter forget a machine. Its error is machine.ErrUnknown if there
// is none of that name.
func (c *Client) Forget(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body, err := c.send(ctx, question{
		method: http.MethodDelete, path: []string{"machines", name}, token: true,
		accept: jsonType, want: http.StatusNoContent, failed: "not forgotten",
	})
	if err != nil {
		return err
	}
	return body.Close()
}
