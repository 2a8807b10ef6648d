import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';

@WebSocketGateway()
export class OrdersGateway {
  @SubscribeMessage('ping')
  pong() {
    return 'pong';
  }
}
