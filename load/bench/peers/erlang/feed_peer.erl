%% The same with what Erlang brings by itself: gen_tcp, the VM's own HTTP request parser, and a process for each connection
%% that is woken by a timer. No web framework, and no hibernation.
-module(feed_peer).
-export([main/0]).

main() ->
    Period = list_to_integer(os:getenv("FEED_INTERVAL_MS", "1000")),
    {ok, Listener} = gen_tcp:listen(0, [
        binary, {ip, {127, 0, 0, 1}}, {packet, http_bin}, {active, false}, {nodelay, true}, {backlog, 1024}
    ]),
    {ok, Port} = inet:port(Listener),
    io:format("listening on http://127.0.0.1:~b~n", [Port]),
    accept(Listener, Period).

accept(Listener, Period) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    Pid = spawn(fun() -> receive go -> request(Socket, Period) end end),
    ok = gen_tcp:controlling_process(Socket, Pid),
    Pid ! go,
    accept(Listener, Period).

request(Socket, Period) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, {http_request, 'GET', {abs_path, <<"/test/", _/binary>> = Path}, _}} ->
            headers(Socket),
            ok = inet:setopts(Socket, [{packet, raw}, {active, once}]),
            Greeting = ["Erlang welcomes you! Your Id: ", Path, "\n"],
            Head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n",
            case gen_tcp:send(Socket, [Head | frame(Greeting)]) of
                ok -> wait(Socket, Path, Period, 1, erlang:monotonic_time(millisecond) + Period);
                {error, _} -> gen_tcp:close(Socket)
            end;
        _ ->
            gen_tcp:send(Socket, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            gen_tcp:close(Socket)
    end.

headers(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, http_eoh} -> ok;
        {ok, _} -> headers(Socket)
    end.

%% Each timer is set to a point in time, so that a late chunk does not make all later ones late.
wait(Socket, Path, Period, N, Due) ->
    erlang:send_after(Due, self(), chunk, [{abs, true}]),
    chunk(Socket, Path, Period, N, Due).

chunk(Socket, Path, Period, N, Due) ->
    receive
        chunk ->
            case gen_tcp:send(Socket, frame(["Chunk ", integer_to_binary(N), " for id ", Path, "\n"])) of
                ok -> wait(Socket, Path, Period, N + 1, Due + Period);
                {error, _} -> gen_tcp:close(Socket)
            end;
        {tcp, Socket, _} ->
            inet:setopts(Socket, [{active, once}]),
            chunk(Socket, Path, Period, N, Due);
        {tcp_closed, Socket} ->
            ok;
        {tcp_error, Socket, _} ->
            gen_tcp:close(Socket)
    end.

frame(Data) ->
    [integer_to_binary(iolist_size(Data), 16), "\r\n", Data, "\r\n"].
